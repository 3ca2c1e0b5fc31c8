#ifndef RAGLAN_EVAL_BENCH_INT_H
#define RAGLAN_EVAL_BENCH_INT_H
/* Between the files of the benchmark: the clock, the rows, the made-up data. */
#include "eval/bench.h"
#include "tensor/peak.h"
#include "tensor/tensor.h"
#include "util/rng.h"

typedef struct bench {
    bench_options o;
    double ops[PEAK_KINDS]; /* operations a second */
    double read;            /* bytes a second */
} bench;

/* What runs took: the median of their seconds, NAN after Ctrl+C; and the peak while they ran,
 * operations a second: it is measured before and after each, and the median is taken of what it could
 * have done in their time. */
typedef struct timing {
    double s;
    double peak; /* 0: not measured */
} timing;
enum { NO_PEAK = PEAK_KINDS };
double bench_peak_now(const bench *b, int kind); /* 0 for NO_PEAK */
/* Times fn(arg): two calls to warm up, then at least 5, and on until the time of this size is spent
 * (one and two for tests). kind: the peak, or NO_PEAK. */
timing bench_time(const bench *b, int kind, void (*fn)(void *arg), void *arg);

/* Rows. The name is made by printf. */
typedef struct bench_figure {
    double value;
    const char *unit;
    double flops;  /* a second */
    double peak;   /* what `flops` (or `value`, where flops is 0) is a share of; 0: no share */
    double beside; /* the same, measured beside the runs */
} bench_figure;
void bench_say(const bench *b, bench_figure f, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* What this run's models multiply in. */
peak_kind bench_model_kind(void);
double bench_quantile(double *s, int64_t n, double q); /* sorts s */
int32_t *bench_ids(rng *r, int64_t n, int64_t vocab);  /* uniform tokens; caller frees */
span *bench_spans(int64_t n, int64_t length);          /* side by side; caller frees */

status bench_kernels(const bench *b);
status bench_train(const bench *b);
status bench_embed(const bench *b);
status bench_search(const bench *b);
status bench_lexical(const bench *b);
status bench_answer(const bench *b);

/* A temporary folder of the search rows. */
status bench_folder_make(char **path); /* caller: bench_folder_remove */
void bench_folder_remove(char *path);  /* with all its files; frees path */

enum { BENCH_VOCAB = 10000, BENCH_HEADS = 8, BENCH_BLOCKS = 4 };

#endif
