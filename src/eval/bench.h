#ifndef RAGLAN_EVAL_BENCH_H
#define RAGLAN_EVAL_BENCH_H
/* Speed of the engine on this machine, as shares of what the machine could do.
 *
 * Every row times real code of the floors below, the models included, on made-up data of a fixed
 * seed: no collection is needed and two runs do the same work. A value is the median of some
 * runs after a warm-up. bench/README.md says what each row is made of. */
#include "util/err.h"

/* Parts to run, joined by |. */
enum {
    BENCH_KERNELS = 1,
    BENCH_TRAIN = 2,
    BENCH_EMBED = 4,
    BENCH_SEARCH = 8,
    BENCH_LEXICAL = 16,
    BENCH_ANSWER = 32,
    BENCH_ALL = 63,
};

/* How much work: full takes the sizes of the peers' scripts, quick a tenth where that is much,
 * tiny is for tests (its figures mean nothing). */
typedef enum bench_size { BENCH_FULL, BENCH_QUICK, BENCH_TINY } bench_size;

typedef struct bench_row {
    const char *name; /* borrowed for the call */
    double value;
    const char *unit;
    double flops;         /* operations a second; 0 where nobody counts them */
    double peak_fraction; /* of this machine's peak for what bounds the row: arithmetic of the type
                             it multiplies in, or memory read; 0 where neither is the measure */
    /* The same of the peak of arithmetic right before and after each run; 0 where it is not the
     * measure. */
    double peak_fraction_beside;
} bench_row;

typedef struct bench_options {
    unsigned parts;
    bench_size size;
    int64_t dim; /* width of the models and of the products */
    uint64_t seed;
    void (*row)(void *arg, const bench_row *r); /* called for each figure as it is known */
    void *arg;
} bench_options;

/* Peaks first, then the parts in the order of the enum. ERR_ARG where dim is no multiple of 16,
 * ERR_IO where the temporary folder (TMPDIR, for search files) cannot be used, ERR_STOPPED after
 * Ctrl+C. */
status bench_run(const bench_options *o);

/* This processor's name as the system gives it, blanks trimmed; "unknown" where it does not. Caller
 * frees. */
char *bench_cpu(void);

#endif
