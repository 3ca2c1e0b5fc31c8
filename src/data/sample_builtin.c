/* The built-in grammar's bytes, between two labels; see sample.cmake. */
#include "data/sample_int.h"

__asm__(".section .rodata\n"
        ".global sample_builtin, sample_builtin_end\n"
        "sample_builtin:\n"
        ".incbin \"" SAMPLE_GRAMMAR "\"\n"
        "sample_builtin_end:\n"
        ".byte 0\n"
        ".previous\n");
