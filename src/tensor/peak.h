#ifndef RAGLAN_TENSOR_PEAK_H
#define RAGLAN_TENSOR_PEAK_H
/* The machine's own peak, measured: what `bench` sets every figure against.
 *
 * A peak of arithmetic is the rate of multiply-adds of random numbers between registers, on all
 * threads of the pool at once, with nothing read from memory: no kernel can be faster. The
 * instructions are those of the family of kernels that runs (RAGLAN_CPU): where bf16 is
 * forced on a processor that has AMX, tiles do not count. */
#include "util/err.h"

typedef enum peak_kind { PEAK_F32, PEAK_BF16, PEAK_INT8, PEAK_KINDS } peak_kind;

/* Operations a second (a multiply-add counts two), the best of some rounds that take about
 * `seconds` together. bf16 in a family that has no such products: the rate of f32. */
double peak_ops(peak_kind k, double seconds);
/* The same now, in about `seconds`, by the instruction that peak_ops(k), which comes first, found
 * fastest: where other work comes and goes, what is timed can be set against the peak beside it. */
double peak_again(peak_kind k, double seconds);
/* Bytes a second of reading `bytes` of memory in a row on all threads, best of `rounds`. */
double peak_read(size_t bytes, int rounds);

#endif
