#ifndef RAGLAN_UTIL_RNG_H
#define RAGLAN_UTIL_RNG_H
/* Random numbers: xoshiro256** (Blackman & Vigna 2018), seeded by splitmix64. The state is
 * plain data, saved in checkpoints. All randomness of a run flows from one rng. */
#include "util/err.h"

typedef struct rng {
    uint64_t s[4];
} rng;
rng rng_new(uint64_t seed);
rng rng_fork(rng *r, const char *name); /* an independent stream; advances r by one draw */
uint64_t rng_next(rng *r);
int64_t rng_below(rng *r, int64_t n); /* uniform in 0..n-1, without modulo bias; n >= 1 */
double rng_uniform(rng *r);           /* [0, 1) */
double rng_normal(rng *r);            /* mean 0, deviation 1; two draws, nothing cached */
void rng_shuffle(rng *r, int64_t *items, int64_t n);
/* Stateless: a uniform 64-bit hash of (seed, i); the same on any thread. For dropout. */
uint64_t rng_hash(uint64_t seed, uint64_t i);
#endif
