#ifndef RAGLAN_TENSOR_PEAK_H
#define RAGLAN_TENSOR_PEAK_H
/* The machine's own peak, measured: what `bench` sets every figure against.
 *
 * A peak of arithmetic is the rate of multiply-adds between registers, on all threads of the
 * pool at once, with nothing read from memory: no kernel can be faster. It is the machine's,
 * whatever family RAGLAN_CPU forces. */
#include "util/err.h"

typedef enum peak_kind { PEAK_F32, PEAK_BF16, PEAK_INT8, PEAK_KINDS } peak_kind;

/* Operations a second (a multiply-add counts two), the best of some rounds that take about
 * `seconds` together. bf16 never falls below f32: it can be widened. */
double peak_ops(peak_kind k, double seconds);
/* Bytes a second of reading `bytes` of memory in a row on all threads, best of `rounds`. */
double peak_read(size_t bytes, int rounds);

#endif
