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
#define RNG_GOLDEN 0x9e3779b97f4a7c15u /* 2^64 / golden ratio: the step of splitmix64 */
static inline uint64_t rng_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline uint64_t rng_hash(uint64_t seed, uint64_t i) {
    return rng_mix(rng_mix(seed + RNG_GOLDEN) + (i + 1) * RNG_GOLDEN);
}
#endif
