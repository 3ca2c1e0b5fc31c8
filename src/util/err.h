#ifndef RAGLAN_UTIL_ERR_H
#define RAGLAN_UTIL_ERR_H
/* Errors: one convention for the whole house.
 *
 * The world fails (files, input, SQL, devices): a function returns a status, OK == 0, and
 * leaves a sentence in err_msg(), one per thread: the thing, what was found, what was
 * wanted, the next step. We fail (a wrong shape, a broken invariant): MUST prints the
 * condition and aborts. Nothing below cli/ calls exit. */
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, what it means */
#define ERR_CODES(X)                                                                               \
    X(ARG, "bad argument")            /* the caller's value is wrong */                            \
    X(MEM, "out of memory")           /* a large planned block could not be had */                 \
    X(IO, "input/output error")       /* the operating system said no */                           \
    X(FORMAT, "bad format")           /* bytes are not what they should be */                      \
    X(BACKEND, "backend unavailable") /* a device or library is absent */                          \
    X(BUSY, "busy")                   /* another process holds it */                               \
    X(STATE, "not ready")             /* something must be made first; the sentence says how */    \
    X(STOPPED, "stopped")             /* Ctrl+C: state is saved */

typedef enum status {
    OK = 0,
#define X(name, what) ERR_##name,
    ERR_CODES(X)
#undef X
} status;

/* Sets this thread's sentence and returns code. err_msg() is "" after err_clear(). */
status err_set(status code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "context: " in front of this thread's sentence; returns code unchanged. */
status err_wrap(status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *err_msg(void);   /* borrowed, valid until this thread's next error */
const char *err_where(void); /* "src/store/store.c:120" of the last err_set */
const char *err_name(status code);
void err_clear(void);

__attribute__((noreturn)) void must_failed(const char *cond, const char *file, int line,
                                           const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* For sentences: the ending of a noun behind its number, "1 question", "2 questions". */
static inline const char *plural(int64_t n) {
    return n == 1 ? "" : "s";
}

/* The comma lets the compiler see which code returns: what a caller may find unset after OK. */
#define FAIL(code, ...) return err_set((code), __FILE__, __LINE__, __VA_ARGS__), (code)
#define TRY(call)                                                                                  \
    do {                                                                                           \
        status st_ = (call);                                                                       \
        if (st_) return st_;                                                                       \
    } while (0)
/* Stays in release. The message comes after the condition: MUST(a == b, "a=%d b=%d", a, b). */
#define MUST(cond, ...)                                                                            \
    do {                                                                                           \
        if (!(cond)) must_failed(#cond, __FILE__, __LINE__, __VA_ARGS__);                          \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
