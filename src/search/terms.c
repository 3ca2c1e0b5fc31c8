/* Terms: see terms_int.h. */
#include "search/terms_int.h"

#include <stdlib.h>
#include <string.h>

#include "util/hash.h"

static void place(terms *t, uint32_t i) {
    uint64_t slot = t->hash[i] & (t->n_slots - 1);
    while (t->slots[slot]) slot = (slot + 1) & (t->n_slots - 1);
    t->slots[slot] = i + 1;
}

/* Keeps the table at most half full. */
static void grow(terms *t) {
    if (t->n + 1 >= t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->begin = xrealloc(t->begin, ((size_t)t->cap + 1) * sizeof *t->begin);
        t->hash = xrealloc(t->hash, (size_t)t->cap * sizeof *t->hash);
        if (!t->n) t->begin[0] = 0;
    }
    if (2 * ((uint64_t)t->n + 1) > t->n_slots) {
        free(t->slots);
        t->n_slots = t->n_slots ? 2 * t->n_slots : 512;
        t->slots = xcalloc(t->n_slots, sizeof *t->slots);
        for (uint32_t i = 0; i < t->n; i++) place(t, i);
    }
}

uint32_t terms_intern(terms *t, const char *s, size_t n) {
    grow(t);
    uint64_t h = hash64(s, n), mask = t->n_slots - 1;
    for (uint64_t slot = h & mask; t->slots[slot]; slot = (slot + 1) & mask) {
        uint32_t i = t->slots[slot] - 1;
        if (t->hash[i] == h && t->begin[i + 1] - t->begin[i] == n &&
            memcmp(t->text.at + t->begin[i], s, n) == 0)
            return i;
    }
    MUST(t->n < UINT32_MAX - 1, "%u terms are too many", t->n);
    uint32_t i = t->n++;
    buf_add(&t->text, s, n);
    t->begin[i + 1] = t->text.len;
    t->hash[i] = h;
    place(t, i);
    return i;
}

void terms_reset(terms *t) {
    if (!t->n) return;
    t->n = 0;
    buf_reset(&t->text);
    memset(t->slots, 0, t->n_slots * sizeof *t->slots);
}

void terms_clear(terms *t) {
    buf_clear(&t->text);
    free(t->begin);
    free(t->hash);
    free(t->slots);
    *t = (terms){0};
}

size_t terms_bytes(const terms *t) {
    return t->text.cap + t->cap * 2 * sizeof(uint64_t) + t->n_slots * sizeof(uint32_t);
}

int terms_compare(const char *a, size_t n_a, const char *b, size_t n_b) {
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
    return order ? order : (n_a > n_b) - (n_a < n_b);
}

static int compare_numbers(const void *a, const void *b, void *arg) {
    const terms *t = arg;
    size_t n_a, n_b;
    const char *s_a = terms_at(t, *(const uint32_t *)a, &n_a);
    const char *s_b = terms_at(t, *(const uint32_t *)b, &n_b);
    return terms_compare(s_a, n_a, s_b, n_b);
}

void terms_sort(const terms *t, uint32_t *of, uint32_t n) {
    if (n > 1) qsort_r(of, n, sizeof *of, compare_numbers, (void *)(uintptr_t)t);
}
