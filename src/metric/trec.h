#ifndef RAGLAN_METRIC_TREC_H
#define RAGLAN_METRIC_TREC_H
/* TREC's judgement and run files, and their evaluation as trec_eval (Buckley; NIST) prints it.
 *
 *   qrels   "query iteration document relevance"      iteration ignored, relevance an integer,
 *           negative: in the pool but unjudged
 *   run     "query Q0 document rank score tag"        rank and Q0 ignored
 * Fields stand between blanks; lines that begin with # and empty lines are skipped. A run is
 * ranked by score, highest first, equal scores by document id in descending byte order. */
#include "util/mem.h"

typedef struct trec_qrels trec_qrels;
typedef struct trec_run trec_run;

/* Reads a file (.gz too, "-" for stdin). ERR_FORMAT names path and line: a missing or malformed
 * field, a document twice in one query, no line at all. */
status trec_qrels_read(const char *path, trec_qrels **out);
status trec_run_read(const char *path, trec_run **out);
/* The same from n bytes in memory; name stands for the path in sentences. */
status trec_qrels_parse(const char *name, const char *bytes, size_t n, trec_qrels **out);
status trec_run_parse(const char *name, const char *bytes, size_t n, trec_run **out);
void trec_qrels_free(trec_qrels *q); /* NULL is a no-op */
void trec_run_free(trec_run *r);     /* NULL is a no-op */

/* Judgements in order of query, then document (bytes); strings borrowed until freed. */
int64_t trec_qrels_count(const trec_qrels *q);
void trec_qrels_at(const trec_qrels *q, int64_t i, const char **query, const char **document,
                   int *rel);

typedef struct trec_options {
    bool per_query;              /* -q: a block of lines for each query before the summary */
    bool complete;               /* -c: judged queries that the run lacks count as 0 */
    int level;                   /* -l: relevant from this relevance on (default 1) */
    int64_t max_ret;             /* -M: only so many documents a query; 0: all */
    const char *const *measures; /* -m: names, nicknames or name.parameters; borrowed */
    int n_measures;              /* 0: "official" */
} trec_options;

/* Appends trec_eval's printout to out: names padded to 22, query or "all", %6.4f.
 *
 * Measures: official (the default set), set, all_trec, and those all_trec consists of: runid num_q
 * num_ret num_rel num_rel_ret map gm_map Rprec bpref recip_rank iprec_at_recall P relstring recall
 * infAP gm_bpref Rprec_mult utility 11pt_avg binG G ndcg ndcg_rel Rndcg ndcg_cut map_cut relative_P
 * success set_P set_relative_P set_recall set_map set_F num_nonrel_judged_ret rbp rbp_resid unj,
 * with parameters as trec_eval takes them ("P.5,10", "ndcg.1=3,2=9").
 *
 * Without `complete`, judged queries that the run lacks are left out, as queries without
 * judgements always are. ERR_ARG: unknown measure or bad parameters. ERR_FORMAT: no query is in
 * both. */
status trec_evaluate(const trec_qrels *q, const trec_run *r, const trec_options *options, buf *out);

/* Writes the names that a measure may begin with, nicknames last, into names[0..most-1], and
 * returns how many were written. */
int trec_measure_names(const char **names, int most);

#endif
