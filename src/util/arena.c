/* The arena: address space is reserved once with MAP_NORESERVE, so a large reservation costs
 * nothing until it is touched; taking memory moves a mark. The kernel hands out zero pages,
 * so arena_push clears only what an earlier user of the same stretch may have written.
 *
 *     base            at              peak                            base + size
 *      |  blocks in use |  used before  |  never touched: still zero pages  |
 *
 * Under ASan every block is followed by a poisoned gap, and what lies between the mark and
 * the peak is poisoned too: an overrun and a use after reset are both caught. */
#include "util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define RAGLAN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RAGLAN_ASAN 1
#endif
#endif

#ifdef RAGLAN_ASAN
#include <sanitizer/asan_interface.h>
#define GAP          64
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define ALLOW(p, n)  __asan_unpoison_memory_region((p), (n))
#else
#define GAP          0
#define POISON(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n)  ((void)(p), (void)(n))
#endif

#define ALIGN         ((size_t)64)
#define DEFAULT_BYTES ((size_t)64 << 30)
#define LEAST_DEFAULT ((size_t)64 << 20)

struct arena {
    uint8_t *base;
    size_t size; /* reserved */
    size_t at;   /* in use: always a multiple of ALIGN */
    size_t peak; /* most ever in use: pages above it were never touched */
};

static void *reserve(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

arena *arena_new(size_t reserve_bytes) {
    size_t size = reserve_bytes ? (reserve_bytes + 4095) / 4096 * 4096 : DEFAULT_BYTES;
    uint8_t *base = reserve(size);
    /* A limit on address space (ulimit -v, strict overcommit) leaves less than the default. */
    while (!base && !reserve_bytes && size > LEAST_DEFAULT) base = reserve(size /= 2);
    MUST(base, "%zu bytes of address space were refused: %s", size, strerror(errno));
    arena *a = xcalloc(1, sizeof *a);
    a->base = base;
    a->size = size;
    return a;
}

void arena_free(arena *a) {
    if (!a) return;
    ALLOW(a->base, a->peak); /* the next owner of these addresses knows nothing of our gaps */
    munmap(a->base, a->size);
    free(a);
}

void *arena_take(arena *a, size_t bytes) {
    size_t room = a->size - a->at;
    MUST(bytes <= room && room - bytes >= GAP + ALIGN - 1,
         "arena full: %zu bytes wanted, %zu of %zu left", bytes, room, a->size);
    size_t step = (bytes + GAP + ALIGN - 1) / ALIGN * ALIGN;
    uint8_t *p = a->base + a->at;
    POISON(p, step);
    ALLOW(p, bytes);
    a->at += step;
    if (a->at > a->peak) a->peak = a->at;
    return p;
}

void *arena_push(arena *a, size_t bytes) {
    size_t old_peak = a->peak, begin = a->at;
    uint8_t *p = arena_take(a, bytes);
    if (begin < old_peak) {
        size_t used = old_peak - begin;
        memset(p, 0, used < bytes ? used : bytes);
    }
    return p;
}

char *arena_strdup(arena *a, const char *s) {
    return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(arena *a, const char *s, size_t n) {
    n = strnlen(s, n);
    char *copy = arena_take(a, n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *arena_printf(arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    MUST(n >= 0, "format '%s' failed", fmt);
    char *s = arena_take(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

size_t arena_mark(const arena *a) {
    return a->at;
}

void arena_reset(arena *a, size_t mark) {
    MUST(mark <= a->at && mark % ALIGN == 0, "mark %zu, in use %zu", mark, a->at);
    POISON(a->base + mark, a->at - mark);
    a->at = mark;
}

size_t arena_peak(const arena *a) {
    return a->peak;
}
