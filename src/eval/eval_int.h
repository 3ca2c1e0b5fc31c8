#ifndef RAGLAN_EVAL_EVAL_INT_H
#define RAGLAN_EVAL_EVAL_INT_H
/* Shared by the files of eval/ alone. */
#include "eval/eval.h"

/* Kinds of questions ("one_hop"), in the order in which they first occur. */
typedef struct kinds {
    const char **name; /* [n] borrowed from the set */
    int n, cap;
    int *of; /* [questions] index into name; -1: the question has no kind */
} kinds;
kinds kinds_of(const qa_set *q);
void kinds_clear(kinds *k);

double mean_of(const double *x, int64_t n); /* 0 of nothing */
/* [low, high] of the mean at 95 %, times scale. */
json_t *interval_json(const double *x, int64_t n, double scale, uint64_t seed);
enum { RESAMPLES = 1000 };

/* Seconds of single runs. */
typedef struct timings {
    double *at;
    int64_t n, cap;
} timings;
void timings_add(timings *t, double seconds);
json_t *timings_json(timings *t); /* {"p50", "p95"} in ms, nearest rank; frees t's memory */

/* One question from its text to its hits, as someone who asks waits for it: embedding (with
 * tokenising) and searching, in seconds. hits [k]. */
status find_timed(const eval_input *in, const char *question, search_mode mode, int64_t k,
                  hit *hits, int64_t *n_hits, double *embed_s, double *search_s);
/* Whether question i is the next of n evenly spread over `of`. */
bool is_sampled(int64_t i, int64_t n, int64_t of);
status stopped(const char *what); /* ERR_STOPPED after Ctrl+C */
#endif
