#ifndef RAGLAN_UTIL_MEM_H
#define RAGLAN_UTIL_MEM_H
/* Memory: heap helpers that cannot fail, the arena, and the growing byte string. */
#include <stdarg.h>
#include "util/err.h"

/* Small allocations: a failure prints a sentence and aborts. Free with free(). */
void *xmalloc(size_t bytes);
void *xcalloc(size_t n, size_t bytes); /* checks n * bytes for overflow */
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Grows an array: GROW(items, n, cap) makes room for one more item at items[n]. */
#define GROW(items, n, cap)                                                                        \
    do {                                                                                           \
        if ((n) >= (cap)) {                                                                        \
            (cap) = (cap) ? 2 * (cap) : 16;                                                        \
            (items) = xrealloc((items), (size_t)(cap) * sizeof *(items));                          \
        }                                                                                          \
    } while (0)

/* An arena: one reserved stretch of address space, memory taken by moving a mark.
 * Pages are committed when first touched and kept across resets, so a training loop that
 * takes the same shapes each step allocates nothing after the first. One thread at a time.
 * Under ASan a poisoned gap lies between blocks. */
typedef struct arena arena;
arena *arena_new(size_t reserve_bytes); /* 0: a large default (64 GiB of address space) */
void arena_free(arena *a);              /* NULL is a no-op */
/* 64-byte-aligned, zeroed; never NULL (aborts when full). */
void *arena_push(arena *a, size_t bytes);
void *arena_take(arena *a, size_t bytes); /* the same, contents undefined */
char *arena_strdup(arena *a, const char *s);
char *arena_strndup(arena *a, const char *s, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_mark(const arena *a);       /* bytes in use */
void arena_reset(arena *a, size_t mark); /* back to a mark; 0 = empty */
size_t arena_peak(const arena *a);       /* most bytes ever in use */

#define ARENA_ARRAY(a, type, n) ((type *)arena_take((a), (size_t)(n) * sizeof(type)))

/* A growing byte string; always NUL-terminated; init with {0}. */
typedef struct buf {
    char *at; /* NULL while empty */
    size_t len, cap;
} buf;
void buf_add(buf *b, const void *bytes, size_t n);
void buf_puts(buf *b, const char *s);
void buf_putc(buf *b, char c);
void buf_printf(buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(buf *b, const char *fmt, va_list ap);
void buf_reset(buf *b);  /* length 0, memory kept */
void buf_clear(buf *b);  /* memory freed */
char *buf_steal(buf *b); /* the string ("" if empty); caller frees; b is empty again */

#endif
