/* Errors: one sentence and one place per thread, kept in thread-local storage so that a
 * worker's failure never overwrites what the main thread is about to print. */
#include "util/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSG_BYTES 2048

static _Thread_local char last_msg[MSG_BYTES];
static _Thread_local char last_where[256];

/* A sentence is one line: file names and foreign text may carry control bytes. A sentence
 * that was cut to fit ends in "...". */
static void keep(const char *text, int wanted) {
    size_t n = 0;
    for (; text[n] && n < MSG_BYTES - 1; n++) {
        unsigned char c = (unsigned char)text[n];
        last_msg[n] = (c < 32 || c == 127) ? ' ' : (char)c;
    }
    last_msg[n] = 0;
    if (wanted >= MSG_BYTES) memcpy(last_msg + n - 3, "...", 3);
}

status err_set(status code, const char *file, int line, const char *fmt, ...) {
    char text[MSG_BYTES]; /* not last_msg itself: the arguments may contain err_msg() */
    va_list ap;
    va_start(ap, fmt);
    int wanted = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    keep(text, wanted);
    snprintf(last_where, sizeof last_where, "%s:%d", file, line);
    return code;
}

status err_wrap(status code, const char *fmt, ...) {
    char text[2 * MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, MSG_BYTES, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    if (n >= MSG_BYTES) n = MSG_BYTES - 1;
    int m = snprintf(text + n, sizeof text - (size_t)n, ": %s", last_msg);
    keep(text, n + m);
    return code;
}

const char *err_msg(void) {
    return last_msg;
}

const char *err_where(void) {
    return last_where;
}

const char *err_name(status code) {
    switch (code) {
    case OK:
        return "ok";
#define X(name, what)                                                                              \
    case ERR_##name:                                                                               \
        return what;
        ERR_CODES(X)
#undef X
    }
    return "unknown error";
}

void err_clear(void) {
    last_msg[0] = 0;
    last_where[0] = 0;
}

/* One write, so that lines of several processes on one terminal do not mix. */
void must_failed(const char *cond, const char *file, int line, const char *fmt, ...) {
    char text[MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "raglan: %s:%d: broken promise: %s: %s\n", file, line, cond, text);
    fflush(stderr);
    abort();
}
