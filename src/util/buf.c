/* The growing byte string. Capacity doubles, so n appended bytes cost O(n); one byte beyond
 * len always holds NUL, so at is a C string whenever the content has no NUL of its own. */
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for n more bytes and the NUL. */
static void make_room(buf *b, size_t n) {
    MUST(n < SIZE_MAX / 4 && b->len < SIZE_MAX / 4, "%zu + %zu bytes", b->len, n);
    size_t wanted = b->len + n + 1;
    if (wanted <= b->cap) return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < wanted) cap *= 2;
    b->at = xrealloc(b->at, cap);
    b->cap = cap;
}

void buf_add(buf *b, const void *bytes, size_t n) {
    make_room(b, n);
    if (n) memcpy(b->at + b->len, bytes, n);
    b->len += n;
    b->at[b->len] = 0;
}

void buf_puts(buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

void buf_putc(buf *b, char c) {
    buf_add(b, &c, 1);
}

void buf_printf(buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_vprintf(buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    make_room(b, 0);
    size_t room = b->cap - b->len;
    int n = vsnprintf(b->at + b->len, room, fmt, ap);
    MUST(n >= 0, "format '%s' failed", fmt);
    if ((size_t)n >= room) {
        make_room(b, (size_t)n);
        vsnprintf(b->at + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    b->len += (size_t)n;
}

void buf_reset(buf *b) {
    b->len = 0;
    if (b->at) b->at[0] = 0;
}

void buf_clear(buf *b) {
    free(b->at);
    *b = (buf){0};
}

char *buf_steal(buf *b) {
    char *s = b->at ? b->at : xstrdup("");
    *b = (buf){0};
    return s;
}
