/* trec_eval's loop and printout, see trec.h. Queries come in the byte order of their ids; both
 * tables are sorted, so judgements and results meet in one merging pass. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/trec_int.h"

/* Lines [begin, end) of one query. */
typedef struct span {
    int64_t begin, end;
} span;

static const char *query_of(const trec_table *t, int64_t i) {
    return t->text.at + t->lines[i].query;
}

static span query_at(const trec_table *t, int64_t begin) {
    span s = {begin, begin};
    while (s.end < t->n && !strcmp(query_of(t, s.end), query_of(t, begin))) s.end++;
    return s;
}

/* A retrieved document. */
typedef struct hit {
    const char *document;
    double score;
    int rel;
} hit;

static int by_score(const void *a, const void *b) {
    const hit *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return strcmp(y->document, x->document);
}

static int descending(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

/* The ranking of one query with its judgements looked up; both spans are sorted by document. The
 * arrays of *out are owned by the caller. */
static void make_query(const trec_table *qrels, span judged, const trec_table *run, span results,
                       const trec_options *options, trec_query *out) {
    int64_t n = results.end - results.begin, n_judged = judged.end - judged.begin;
    hit *hits = xcalloc((size_t)n + 1, sizeof *hits);
    int *rel = xcalloc((size_t)n + 1, sizeof *rel);
    int *levels = xcalloc((size_t)n_judged + 1, sizeof *levels);
    int64_t j = judged.begin;
    for (int64_t i = 0; i < n; i++) {
        const trec_line *l = &run->lines[results.begin + i];
        hits[i] = (hit){run->text.at + l->document, l->score, RANK_NOT_POOLED};
        int order = -1;
        while (j < judged.end &&
               (order = strcmp(qrels->text.at + qrels->lines[j].document, hits[i].document)) < 0)
            j++;
        if (j < judged.end && order == 0)
            hits[i].rel = qrels->lines[j].rel < 0 ? RANK_UNJUDGED : qrels->lines[j].rel;
    }
    qsort(hits, (size_t)n, sizeof *hits, by_score);
    if (options->max_ret > 0 && n > options->max_ret) n = options->max_ret;
    for (int64_t i = 0; i < n; i++) rel[i] = hits[i].rel;
    for (int64_t i = 0; i < n_judged; i++) levels[i] = qrels->lines[judged.begin + i].rel;
    qsort(levels, (size_t)n_judged, sizeof *levels, descending);
    free(hits);
    out->r = (ranking){rel, n, levels, n_judged, options->level};
    out->n_rel = rank_relevant(&out->r);
    out->n_rel_ret = rank_retrieved(&out->r, RANK_ALL);
}

static void free_query(trec_query *q) {
    free((void *)q->r.rel);
    free((void *)q->r.judged);
}

static void print_line(buf *out, const char *name, const char *query, double value,
                       trec_kind kind) {
    if (kind == TREC_SUM || kind == TREC_QUERIES)
        buf_printf(out, "%-22s\t%s\t%lld\n", name, query, (long long)value);
    else
        buf_printf(out, "%-22s\t%s\t%6.4f\n", name, query, value);
}

/* The relevance of the first documents as characters: a digit, > above 9, - not in the pool,
 * . in the pool but unjudged. */
static void print_relstring(buf *out, const trec_measure *m, const char *query,
                            const trec_query *q) {
    buf_printf(out, "%-22s\t%s\t'", m->names[0], query);
    for (int64_t i = 0; i < q->r.n_ret && (double)i < m->params[0]; i++) {
        int rel = q->r.rel[i];
        buf_putc(out, rel > 9                  ? '>'
                      : rel >= 0               ? (char)('0' + rel)
                      : rel == RANK_NOT_POOLED ? '-'
                                               : '.');
    }
    buf_puts(out, "'\n");
}

/* Computes every measure of one query, adds it to the sums, prints it when asked. */
static void add_query(trec_measure *m, int64_t n_measures, const char *query, const trec_query *q,
                      bool print, buf *out) {
    for (int64_t i = 0; i < n_measures; i++, m++) {
        trec_kind kind = m->def->kind;
        if (kind == TREC_STRING && print) print_relstring(out, m, query, q);
        if (!m->def->calc) continue;
        for (int64_t v = 0; v < m->n_values; v++) {
            double value = m->def->calc(q, m, trec_has_cuts(m->def) ? m->params[v] : 0);
            m->sum[v] += value;
            if (print && kind != TREC_GEOMETRIC) print_line(out, m->names[v], query, value, kind);
        }
    }
}

static void print_summary(const trec_measure *m, int64_t n_measures, int64_t n_queries,
                          const char *tag, buf *out) {
    double n = (double)n_queries;
    for (int64_t i = 0; i < n_measures; i++, m++) {
        trec_kind kind = m->def->kind;
        if (kind == TREC_STRING) continue;
        if (kind == TREC_TAG) {
            buf_printf(out, "%-22s\tall\t%s\n", m->names[0], tag);
            continue;
        }
        for (int64_t v = 0; v < m->n_values; v++) {
            double value = kind == TREC_QUERIES     ? n
                           : kind == TREC_SUM       ? m->sum[v]
                           : kind == TREC_GEOMETRIC ? exp(m->sum[v] / n)
                                                    : m->sum[v] / n;
            print_line(out, m->names[v], "all", value, kind);
        }
    }
}

status trec_evaluate(const trec_qrels *q, const trec_run *r, const trec_options *options,
                     buf *out) {
    MUST(options->level >= 0, "level=%d", options->level);
    trec_measure *measures;
    int64_t n_measures, n_queries = 0;
    TRY(trec_measures_new(options, &measures, &n_measures));
    const trec_table *qrels = &q->t, *run = &r->t;
    span results = query_at(run, 0);
    for (int64_t at = 0; at < qrels->n;) {
        span judged = query_at(qrels, at);
        const char *query = query_of(qrels, at);
        at = judged.end;
        while (results.begin < run->n && strcmp(query_of(run, results.begin), query) < 0)
            results = query_at(run, results.end);
        bool is_found = results.begin < run->n && !strcmp(query_of(run, results.begin), query);
        if (!is_found && !options->complete) continue;
        trec_query one;
        make_query(qrels, judged, run, is_found ? results : (span){0, 0}, options, &one);
        add_query(measures, n_measures, query, &one, options->per_query, out);
        free_query(&one);
        n_queries++;
    }
    if (n_queries) print_summary(measures, n_measures, n_queries, run->text.at + run->tag, out);
    trec_measures_free(measures, n_measures);
    if (!n_queries)
        FAIL(ERR_FORMAT,
             "no query is in both files: qrels begin with query '%s', the run with '%s'",
             query_of(qrels, 0), query_of(run, 0));
    return OK;
}
