#ifndef RAGLAN_TENSOR_CPU_PIECES_H
#define RAGLAN_TENSOR_CPU_PIECES_H
/* The arithmetic of cutting work into pieces. */
#include <stdint.h>

static inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static inline int64_t cuts(int64_t n, int64_t piece) {
    return (n + piece - 1) / piece;
}
static inline int64_t round_up(int64_t n, int64_t unit) {
    return cuts(n, unit) * unit;
}
#endif
