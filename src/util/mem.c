/* Heap helpers that cannot fail: a small allocation that is refused ends the program in one
 * place, so that callers carry no untestable error paths. Large planned blocks are asked of
 * malloc or mmap directly and answered with ERR_MEM. */
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) static void out_of_memory(size_t bytes) {
    fprintf(stderr, "raglan: out of memory: %zu bytes were refused\n", bytes);
    abort();
}

void *xmalloc(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

void *xcalloc(size_t n, size_t bytes) {
    void *p = calloc(n ? n : 1, bytes ? bytes : 1); /* calloc itself refuses an overflow */
    if (!p) out_of_memory(bytes && n > SIZE_MAX / bytes ? SIZE_MAX : n * bytes);
    return p;
}

void *xrealloc(void *p, size_t bytes) {
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q) out_of_memory(bytes);
    return q;
}

char *xstrdup(const char *s) {
    return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n) {
    n = strnlen(s, n);
    char *copy = xmalloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *xasprintf(const char *fmt, ...) {
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0) out_of_memory(strlen(fmt));
    return s;
}
