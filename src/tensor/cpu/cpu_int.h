#ifndef RAGLAN_TENSOR_CPU_INT_H
#define RAGLAN_TENSOR_CPU_INT_H
/* Between the files of this folder: what the processor has, and one getter a family.
 *
 * A getter may be called only where cpu_has(its needs); it fills its table once, from the
 * entries of the family below it. */
#include "tensor/backend.h"

enum {
    CPU_AVX2 = 1,   /* AVX2, FMA, F16C */
    CPU_AVX512 = 2, /* AVX-512 F, BW, DQ, VL */
    CPU_BF16 = 4,   /* AVX512-BF16: VDPBF16PS and conversion */
    CPU_AMX = 8,    /* AMX-TILE, AMX-BF16, and the kernel's leave to use the tiles */
};
/* Sets of instructions that both the processor and the operating system offer. */
unsigned cpu_features(void);

#endif
