/* The memo: a table of pointers that are set once and never changed, so that readers need no
 * lock: a pointer that is there leads to a finished word (release / acquire). Two threads that
 * set one place at once: the second gives its word up. At most 131,072 words, some 15 MB. */
#include "text/memo_int.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { N_SLOTS = 1 << 17, N_TRIES = 8 };

struct memo {
    _Atomic(memo_word *) slot[N_SLOTS];
};

memo *memo_new(void) {
    return xcalloc(1, sizeof(memo));
}

void memo_free(memo *m) {
    if (!m) return;
    for (int i = 0; i < N_SLOTS; i++) free(atomic_load(&m->slot[i]));
    free(m);
}

const memo_word *memo_find(memo *m, const char *bytes, size_t n, uint64_t hash) {
    for (uint64_t i = 0; i < N_TRIES; i++) {
        const memo_word *w =
            atomic_load_explicit(&m->slot[(hash + i) % N_SLOTS], memory_order_acquire);
        if (!w) return NULL;
        if (w->hash == hash && w->n_bytes == n && memcmp(w->bytes, bytes, n) == 0) return w;
    }
    return NULL;
}

/* One block: the struct, its ids, its ends, its bytes. */
static memo_word *copy_of(const memo_word *w) {
    size_t ids = w->n_pieces * sizeof *w->id, ends = w->n_pieces * sizeof *w->end;
    char *block = xmalloc(sizeof *w + ids + ends + w->n_bytes);
    char *id = block + sizeof *w, *end = id + ids, *bytes = end + ends;
    memcpy(id, w->id, ids);
    memcpy(end, w->end, ends);
    memcpy(bytes, w->bytes, w->n_bytes);
    memo_word *copy = (memo_word *)(void *)block;
    *copy = (memo_word){
        w->hash, w->n_bytes, w->n_pieces, bytes, (int32_t *)(void *)id, (uint16_t *)(void *)end};
    return copy;
}

void memo_add(memo *m, const memo_word *w) {
    for (uint64_t i = 0; i < N_TRIES; i++) {
        _Atomic(memo_word *) *slot = &m->slot[(w->hash + i) % N_SLOTS];
        if (atomic_load_explicit(slot, memory_order_relaxed)) continue;
        memo_word *copy = copy_of(w), *none = NULL;
        if (!atomic_compare_exchange_strong_explicit(slot, &none, copy, memory_order_release,
                                                     memory_order_relaxed))
            free(copy);
        return;
    }
}
