/* Which family of kernels runs here.
 *
 * CPUID says what the processor has; XGETBV says which registers the operating system
 * saves on a context switch, and both must agree. AMX asks more: Linux gives the tile
 * registers only to a process that requests them (arch_prctl ARCH_REQ_XCOMP_PERM), before
 * its first tile instruction; threads inherit the leave. So that request is part of
 * detection, which happens once, before any family is chosen. */
#include "tensor/cpu/cpu_int.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#if !defined(bit_AMX_TILE) && defined(bit_AMXTILE) /* clang's spelling */
#define bit_AMX_TILE bit_AMXTILE
#define bit_AMX_BF16 bit_AMXBF16
#define bit_AMX_INT8 bit_AMXINT8
#endif
#endif

/* Best last. AVX512-BF16 is chosen unasked only where it has the rate to pay for rounding:
 * Intel's processors run it at half the rate of their f32 (measured: 87 of 177 GFLOP/s a core),
 * AMD's at twice. */
static const struct family {
    const char *name;
    unsigned needs; /* to run */
    unsigned pays;  /* to be chosen without being asked for */
    unsigned bytes; /* for products of bytes, where they are */
    const backend *(*get)(void);
} families[] = {
    {"ref", 0, 0, 0, backend_ref},
    {"avx2", CPU_AVX2, 0, CPU_AVX_VNNI, backend_avx2},
    {"avx512", CPU_AVX512, 0, CPU_VNNI, backend_avx512},
    {"bf16", CPU_AVX512 | CPU_BF16, CPU_FAST_BF16, CPU_VNNI, backend_bf16},
    {"amx", CPU_AVX512 | CPU_BF16 | CPU_AMX, 0, CPU_AMX_INT8, backend_amx},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

#if defined(__x86_64__)
static bool amx_permitted(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static unsigned detect(void) {
    enum { XMM_YMM = 0x06, ZMM = 0xe0, TILES = 0x60000 }; /* bits of XCR0 */
    unsigned a, b, c, d, has = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    bool fma = (c & bit_FMA) && (c & bit_F16C);
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (fma && (b & bit_AVX2) && (low & XMM_YMM) == XMM_YMM) has |= CPU_AVX2;
    unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (has && (b & avx512) == avx512 && (low & ZMM) == ZMM) has |= CPU_AVX512;
    unsigned amx = bit_AMX_TILE | bit_AMX_BF16;
    bool tiles = (d & amx) == amx && (low & TILES) == TILES;
    unsigned a1, b1, c1, d1;
    bool more = has && __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    if (more && (a1 & bit_AVXVNNI)) has |= CPU_AVX_VNNI;
    if (more && (has & CPU_AVX512) && (a1 & bit_AVX512BF16)) has |= CPU_BF16;
    if ((has & CPU_BF16) && __get_cpuid(0, &a1, &b1, &c1, &d1) && b1 == signature_AMD_ebx)
        has |= CPU_FAST_BF16;
    if ((has & CPU_AVX512) && (c & bit_AVX512VNNI)) has |= CPU_VNNI;
    if ((has & CPU_BF16) && tiles && amx_permitted()) has |= CPU_AMX;
    if ((has & CPU_AMX) && (d & bit_AMX_INT8)) has |= CPU_AMX_INT8;
    return has;
}
#else
static unsigned detect(void) {
    return 0;
}
#endif

static unsigned features;
static void set_features(void) {
    features = detect();
}

unsigned cpu_features(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_features);
    return features;
}

static bool is_here(const struct family *f) {
    return (f->needs & ~cpu_features()) == 0;
}

/* "ref, avx2, ..." of all families, or of those that run here. */
static void list_names(buf *b, bool here) {
    for (int i = 0; i < N_FAMILIES; i++)
        if (!here || is_here(&families[i]))
            buf_printf(b, "%s%s", b->len ? ", " : "", families[i].name);
}

static status refuse(status code, const char *name, const char *why, bool here) {
    buf names = {0};
    list_names(&names, here);
    err_set(code, __FILE__, __LINE__, "RAGLAN_CPU: '%s' %s; use one of: %s", name, why, names.at);
    buf_clear(&names);
    return code;
}

status backend_find(const char *name, const backend **out) {
    if (!name) name = getenv("RAGLAN_CPU");
    if (!name || !*name) {
        int best = N_FAMILIES - 1;
        while ((families[best].needs | families[best].pays) & ~cpu_features()) best--;
        *out = families[best].get();
        return OK;
    }
    for (int i = 0; i < N_FAMILIES; i++) {
        if (strcmp(name, families[i].name)) continue;
        if (!is_here(&families[i]))
            return refuse(ERR_BACKEND, name, "needs instructions that this processor lacks", true);
        *out = families[i].get();
        return OK;
    }
    return refuse(ERR_ARG, name, "is no known family of kernels", false);
}

static const backend *chosen;
static void choose(void) {
    MUST(backend_find(NULL, &chosen) == OK, "%s", err_msg());
}

const backend *backend_cpu(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return chosen;
}

unsigned cpu_family_features(void) {
    unsigned may = 0;
    for (int i = 0; i < N_FAMILIES; i++) {
        may |= families[i].needs | families[i].bytes;
        if (families[i].get() == backend_cpu()) break;
    }
    return may & cpu_features();
}

/* ---- precisions ---- */

const char *precision_name(precision p) {
    static const char *const names[] = {"auto", "f32", "bf16", "int8"};
    return names[p];
}

/* The best family that multiplies in f32, up to the chosen one. */
static const backend *f32_family(void) {
    const backend *best = NULL;
    for (int i = 0; i < N_FAMILIES; i++) {
        if (is_here(&families[i]) && !families[i].get()->rounds_to_bf16) best = families[i].get();
        if (!strcmp(families[i].name, backend_cpu()->name)) break;
    }
    return best;
}

status backend_precise(precision p, const backend **out) {
    const backend *be = backend_cpu();
    if (p == PRECISION_F32) be = f32_family();
    if (p == PRECISION_BF16) be = be->rounds_to_bf16 ? be : NULL;
    if (p == PRECISION_INT8) be = backend_int8(be);
    if (!be)
        FAIL(ERR_BACKEND,
             "precision bf16: kernels '%s' have no such products; use f32 or int8, or set "
             "RAGLAN_CPU where the processor has AVX512-BF16 or AMX",
             backend_cpu()->name);
    *out = be;
    return OK;
}
