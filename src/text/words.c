/* Counting words in bounded memory.
 *
 * When the distinct words outgrow max_bytes, the table is thinned: the share of new words that
 * are let in is halved (by a hash of the word, so the choice is the same for every occurrence),
 * and words outside that share go unless they are already frequent; what counts as frequent
 * doubles each time. Frequent words come early and stay; of the rare ones a fair sample stays. */
#include "text/words_int.h"

#include <stdlib.h>
#include <string.h>

#include "util/hash.h"
#include "util/rng.h"

void words_init(words *w, int64_t max_bytes, uint64_t seed) {
    *w = (words){.max_bytes = max_bytes, .seed = seed, .limit = UINT64_MAX, .rare = 2};
}

void words_clear(words *w) {
    buf_clear(&w->text);
    free(w->at);
    free(w->slot);
    *w = (words){0};
}

static void fill_slots(words *w, int64_t n_slots) {
    w->n_slots = n_slots;
    free(w->slot);
    w->slot = xmalloc((size_t)n_slots * sizeof *w->slot);
    memset(w->slot, 0xff, (size_t)n_slots * sizeof *w->slot); /* -1 */
    for (int64_t i = 0; i < w->n; i++) {
        int64_t s = (int64_t)(w->at[i].hash & (uint64_t)(n_slots - 1));
        while (w->slot[s] >= 0) s = (s + 1) & (n_slots - 1);
        w->slot[s] = (int32_t)i;
    }
}

static void thin(words *w) {
    size_t to = 0;
    int64_t n = 0;
    w->limit /= 2;
    for (int64_t i = 0; i < w->n; i++) {
        word x = w->at[i];
        if (x.count < w->rare && rng_hash(w->seed, x.hash) > w->limit) continue;
        memmove(w->text.at + to, w->text.at + x.at, (size_t)x.n);
        x.at = (int64_t)to;
        to += (size_t)x.n;
        w->at[n++] = x;
    }
    w->text.len = to;
    w->n = n;
    w->rare *= 2;
    fill_slots(w, w->n_slots);
}

static void count_word(words *w, const char *s, size_t n) {
    uint64_t hash = hash64(s, n);
    w->seen_bytes += (int64_t)n;
    if (2 * w->n >= w->n_slots) fill_slots(w, w->n_slots ? 2 * w->n_slots : 1 << 16);
    int64_t i = (int64_t)(hash & (uint64_t)(w->n_slots - 1));
    for (; w->slot[i] >= 0; i = (i + 1) & (w->n_slots - 1)) {
        word *x = &w->at[w->slot[i]];
        if (x->hash != hash || x->n != (int32_t)n || memcmp(w->text.at + x->at, s, n) != 0)
            continue;
        x->count++;
        return;
    }
    if (rng_hash(w->seed, hash) > w->limit) return;
    MUST(w->n < INT32_MAX / 2, "%lld distinct words", (long long)w->n);
    GROW(w->at, w->n, w->cap);
    w->slot[i] = (int32_t)w->n;
    w->at[w->n++] = (word){(int64_t)w->text.len, (int32_t)n, 1, hash};
    buf_add(&w->text, s, n);
    while ((int64_t)w->text.len > w->max_bytes && w->n > 1) thin(w);
}

/* Bytes of the blank at s, 0 where there is none. */
static size_t blank_at(const char *s, size_t n) {
    if (*s == ' ' || *s == '\0' || (*s >= '\t' && *s <= '\r')) return 1;
    return n >= 3 && (memcmp(s, "\xe2\x96\x81", 3) == 0 || memcmp(s, "\xe2\x96\x85", 3) == 0) ? 3
                                                                                              : 0;
}

void words_add(words *w, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t blank = blank_at(text + i, n - i);
        if (blank) {
            i += blank;
            continue;
        }
        size_t end = i + 1;
        while (end < n && end - i < WORD_BYTES && !blank_at(text + end, n - end)) end++;
        if (end - i == WORD_BYTES)
            while (end < n && end > i + WORD_BYTES - 4 && ((unsigned char)text[end] & 0xc0) == 0x80)
                end--;
        count_word(w, text + i, end - i);
        i = end;
    }
}

word_choice words_choose(const words *w, int64_t enough) {
    enum { MANY = 64 };
    int64_t n_with[MANY + 1] = {0}; /* words of each count; MANY: so often or more */
    for (int64_t i = 0; i < w->n; i++) n_with[w->at[i].count < MANY ? w->at[i].count : MANY]++;
    word_choice c = {.least = MANY};
    int64_t n = n_with[MANY];
    while (c.least > 1 && n + n_with[c.least - 1] <= enough) n += n_with[--c.least];
    if (c.least > 1 && n < enough)
        c.ticket = UINT64_MAX / (uint64_t)n_with[c.least - 1] * (uint64_t)(enough - n);
    return c;
}

bool word_is_chosen(word_choice c, const word *w) {
    return w->count >= c.least || (w->count == c.least - 1 && w->hash < c.ticket);
}
