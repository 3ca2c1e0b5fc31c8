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

/* Median seconds of fn(arg): two calls to warm up, then at least 5, and on until the time of
 * this size is spent (one and two for tests). NAN after Ctrl+C. */
double bench_median_s(const bench *b, void (*fn)(void *arg), void *arg);

/* Rows. The name is made by printf. */
typedef struct bench_figure {
    double value;
    const char *unit;
    double flops; /* a second */
    double peak;  /* what `flops` (or `value`, where flops is 0) is a share of; 0: no share */
} bench_figure;
void bench_say(const bench *b, bench_figure f, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* The peak of what this run's models multiply in. */
double bench_model_peak(const bench *b);
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
