#ifndef RAGLAN_TRAIN_EPOCHS_H
#define RAGLAN_TRAIN_EPOCHS_H
/* Questions in the order in which a run meets them: epochs are shuffles that depend on the seed
 * and their number alone, so a resumed run goes on with the same questions. */
#include "util/rng.h"

typedef struct epochs {
    int64_t *all; /* [n] as they were added */
    int64_t n;
    int64_t *order; /* [n] of epoch `now` */
    int64_t now;    /* -1: none yet */
    uint64_t seed;
} epochs;
epochs epochs_new(int64_t most, uint64_t seed); /* room for `most` */
void epochs_clear(epochs *e);
void epochs_add(epochs *e, int64_t question); /* before the first epochs_at */
/* The i-th of the whole run; n > 0. */
int64_t epochs_at(epochs *e, int64_t i);
#endif
