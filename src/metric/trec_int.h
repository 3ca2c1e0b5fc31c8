#ifndef RAGLAN_METRIC_TREC_INT_H
#define RAGLAN_METRIC_TREC_INT_H
/* What trec_file.c (reading), trec.c (loop, printout) and trec_measures.c (one query's values)
 * share. */
#include "metric/ranking.h"
#include "metric/trec.h"

/* A line of either file; strings are offsets into the table's text. */
typedef struct trec_line {
    size_t query, document;
    double score; /* run */
    int rel;      /* qrels */
} trec_line;

/* A file: its strings in one block, its lines sorted by query, then document. */
typedef struct trec_table {
    buf text;
    trec_line *lines; /* [n] */
    int64_t n, cap;
    size_t tag; /* run: the tag of the last line */
} trec_table;

struct trec_qrels {
    trec_table t;
};
struct trec_run {
    trec_table t;
};

/* One judged query: the ranking and what several measures ask for. */
typedef struct trec_query {
    ranking r;
    int64_t n_rel;     /* relevant documents */
    int64_t n_rel_ret; /* of them retrieved */
} trec_query;

/* A measure with its parameters; it has n_values values, each with a name. */
typedef struct trec_measure trec_measure;

typedef enum trec_kind {
    TREC_MEAN,      /* averaged over queries */
    TREC_SUM,       /* a count, printed as an integer */
    TREC_GEOMETRIC, /* logarithms, exp of their mean; not printed for single queries */
    TREC_QUERIES,   /* num_q */
    TREC_TAG,       /* runid */
    TREC_STRING,    /* relstring, for single queries alone */
} trec_kind;

typedef struct trec_pair { /* "relevance=gain"; the key is kept as text: rbp takes "p" */
    char key[16];
    double value;
} trec_pair;

struct trec_measure {
    const struct trec_measure_def *def;
    double *params;   /* [n_params] cuts or coefficients, owned */
    trec_pair *pairs; /* [n_params] instead, where the measure takes gains, owned */
    int64_t n_params;
    char **names; /* [n_values] owned */
    int64_t n_values;
    double *sum; /* [n_values] over the queries so far, owned */
};

typedef enum trec_takes {
    TAKES_NOTHING,
    TAKES_RANKS,  /* integer cuts: a value each, "P_5" */
    TAKES_SHARES, /* real cuts: a value each, "iprec_at_recall_0.10" */
    TAKES_REALS,  /* coefficients: one value */
    TAKES_GAINS,  /* relevance=gain pairs: one value */
} trec_takes;

/* One row a measure, in the order trec_eval prints them (trec_measures.c). calc gives one value of
 * one query: for each of the cuts, or once with cut 0. */
typedef struct trec_measure_def {
    const char *name;
    trec_kind kind;
    bool official, all, set; /* member of the nicknamed sets */
    trec_takes takes;
    const char *defaults; /* parameters when none are given */
    double (*calc)(const trec_query *q, const trec_measure *m, double cut);
} trec_measure_def;

extern const trec_measure_def trec_measure_defs[];
extern const int n_trec_measure_defs;
bool trec_has_cuts(const trec_measure_def *def); /* a value for each parameter */

/* Measures that options ask for, in printing order (trec_select.c); free with trec_measures_free.
 */
status trec_measures_new(const trec_options *options, trec_measure **out, int64_t *n);
void trec_measures_free(trec_measure *m, int64_t n);

#endif
