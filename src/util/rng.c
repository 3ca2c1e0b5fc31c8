/* xoshiro256** 1.0 (Blackman & Vigna, "Scrambled linear pseudorandom number generators",
 * 2018), its state filled by splitmix64 (Steele, Lea & Flood 2014) as its authors advise. */
#include "util/rng.h"
#include "util/hash.h"

#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

static uint64_t rotl(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

rng rng_new(uint64_t seed) {
    rng r;
    for (int i = 0; i < 4; i++) r.s[i] = rng_mix(seed += RNG_GOLDEN);
    return r;
}

rng rng_fork(rng *r, const char *name) {
    return rng_new(rng_next(r) ^ hash64(name, strlen(name)));
}

uint64_t rng_next(rng *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* The high half of a 64 x 64 product, rejecting the draws that would make some results more
 * frequent (Lemire 2019, "Fast random integer generation in an interval"). */
int64_t rng_below(rng *r, int64_t n) {
    MUST(n >= 1, "n=%lld", (long long)n);
    uint64_t bound = (uint64_t)n, reject = -bound % bound;
    for (;;) {
        u128 product = (u128)rng_next(r) * bound;
        if ((uint64_t)product >= reject) return (int64_t)(product >> 64);
    }
}

double rng_uniform(rng *r) {
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

/* Box & Muller 1958; 1 - u lies in (0, 1], so the logarithm is finite. */
double rng_normal(rng *r) {
    double radius = sqrt(-2 * log(1 - rng_uniform(r)));
    return radius * cos(6.283185307179586477 * rng_uniform(r));
}

void rng_shuffle(rng *r, int64_t *items, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = rng_below(r, i + 1), kept = items[i];
        items[i] = items[j];
        items[j] = kept;
    }
}
