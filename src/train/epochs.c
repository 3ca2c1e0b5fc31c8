/* One epoch's order is kept at a time. */
#include "train/epochs.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

epochs epochs_new(int64_t most, uint64_t seed) {
    size_t bytes = (size_t)(most + 1) * sizeof(int64_t);
    return (epochs){.all = xmalloc(bytes), .order = xmalloc(bytes), .now = -1, .seed = seed};
}

void epochs_clear(epochs *e) {
    free(e->all);
    free(e->order);
    *e = (epochs){.now = -1};
}

void epochs_add(epochs *e, int64_t question) {
    e->all[e->n++] = question;
}

int64_t epochs_at(epochs *e, int64_t i) {
    int64_t epoch = i / e->n;
    if (epoch != e->now) {
        memcpy(e->order, e->all, (size_t)e->n * sizeof *e->order);
        rng r = rng_new(rng_hash(e->seed, (uint64_t)epoch));
        rng_shuffle(&r, e->order, e->n);
        e->now = epoch;
    }
    return e->order[i % e->n];
}
