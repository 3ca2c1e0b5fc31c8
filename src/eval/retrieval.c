/* Figures of one ranking against its judgements. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/bootstrap.h"
#include "metric/ranking.h"
#include "util/log.h"

/* clang-format off */
static const struct {
    const char *name;
    double (*fn)(const ranking *r, int64_t k);
    int64_t k;
} measures[] = {
    {"success@1",   rank_success,    1},
    {"success@5",   rank_success,    5},
    {"success@20",  rank_success,    20},
    {"success@100", rank_success,    100},
    {"mrr@10",      rank_reciprocal, 10},
    {"ndcg@10",     rank_ndcg,       10},
    {"recall@20",   rank_recall,     20},
};
/* clang-format on */
enum { N_MEASURES = sizeof measures / sizeof *measures, MRR_10 = 4 };

/* ---- one question ---- */

static int falling(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

/* judged [judgements of the question] is scratch. */
static void measure(const judgements *j, int64_t q, const ranked *r, int *judged,
                    double out[N_MEASURES]) {
    int rel[EVAL_DEPTH];
    for (int64_t i = 0; i < r->count[q]; i++)
        rel[i] = judgement_of(j, q, r->unit[q * EVAL_DEPTH + i]);
    span s = j->of[q];
    for (int64_t i = s.begin; i < s.end; i++) judged[i - s.begin] = j->at[i].rel;
    if (s.end > s.begin) qsort(judged, (size_t)(s.end - s.begin), sizeof *judged, falling);
    ranking x = {.rel = rel,
                 .n_ret = r->count[q],
                 .judged = judged,
                 .n_judged = s.end - s.begin,
                 .level = 1};
    for (int m = 0; m < N_MEASURES; m++) out[m] = measures[m].fn(&x, measures[m].k);
}

/* ---- all of them ---- */

/* Values of the questions that count, of one kind (-1: of all): [N_MEASURES][n]. */
typedef struct values {
    double *of[N_MEASURES];
    int64_t n;
} values;

static values values_of(const judgements *j, const ranked *r, const kinds *k, int kind) {
    values v = {0};
    int64_t most = 0;
    for (int64_t q = 0; q < j->n; q++)
        if (j->of[q].end - j->of[q].begin > most) most = j->of[q].end - j->of[q].begin;
    int *judged = xmalloc((size_t)(most + 1) * sizeof *judged);
    for (int m = 0; m < N_MEASURES; m++) v.of[m] = xmalloc((size_t)(j->n + 1) * sizeof(double));
    for (int64_t q = 0; q < j->n; q++) {
        double one[N_MEASURES];
        if (!j->counts[q] || (kind >= 0 && k->of[q] != kind)) continue;
        measure(j, q, r, judged, one);
        for (int m = 0; m < N_MEASURES; m++) v.of[m][v.n] = one[m];
        v.n++;
    }
    free(judged);
    return v;
}

static void values_clear(values *v) {
    for (int m = 0; m < N_MEASURES; m++) free(v->of[m]);
}

static json_t *means_json(const values *v) {
    json_t *j = json_pack("{s:I}", "questions", (json_int_t)v->n);
    for (int m = 0; m < N_MEASURES; m++)
        json_object_set_new(j, measures[m].name, json_real(mean_of(v->of[m], v->n)));
    return j;
}

static json_t *by_kind_json(const judgements *j, const ranked *r, const kinds *k) {
    json_t *by = json_object();
    for (int i = 0; i < k->n; i++) {
        values v = values_of(j, r, k, i);
        if (v.n) json_object_set_new(by, k->name[i], means_json(&v));
        values_clear(&v);
    }
    return by;
}

/* What this ranking has more than BM25's, question by question. */
static json_t *difference_json(const values *v, const values *b, uint64_t seed) {
    const double *x = v->of[MRR_10], *y = b->of[MRR_10];
    interval i = bootstrap_difference(x, y, v->n, .95, RESAMPLES, seed);
    return json_pack("{s:f, s:{s:[f, f]}}", "mrr@10", mean_of(x, v->n) - mean_of(y, b->n), "ci95",
                     "mrr@10", i.low, i.high);
}

/* ---- time ---- */

/* The first one runs twice: what is read from disk for the first time is nobody's latency. */
static status latency(const eval_input *in, const judgements *j, search_mode mode, json_t **out) {
    timings all = {0}, embedding = {0}, searching = {0};
    hit hits[EVAL_DEPTH];
    int64_t n = 0, n_counting = 0, n_hits;
    for (int64_t q = 0; q < j->n; q++) n_counting += j->counts[q];
    status st = OK;
    for (int64_t q = 0; q < j->n && !st; q++) {
        double e = 0, s = 0;
        if (!j->counts[q] || !is_sampled(n++, EVAL_TIMED, n_counting)) continue;
        const char *question = in->questions->at[q].question;
        for (int run = all.n ? 1 : 0; run < 2 && !st; run++)
            st = find_timed(in, question, mode, EVAL_DEPTH, hits, &n_hits, &e, &s);
        timings_add(&all, e + s);
        timings_add(&embedding, e);
        timings_add(&searching, s);
        if (!st) st = stopped("timing searches");
    }
    json_int_t timed = all.n;
    json_t *a = timings_json(&all), *e = timings_json(&embedding), *s = timings_json(&searching);
    json_object_set_new(a, "questions", json_integer(timed));
    if (mode != SEARCH_BM25) json_object_set(a, "embed", e);
    json_object_set(a, "search", s);
    json_decref(e);
    json_decref(s);
    if (st)
        json_decref(a);
    else
        *out = a;
    return st;
}

/* ---- together ---- */

status eval_retrieval(const eval_input *in, const judgements *j, search_mode mode, const ranked *r,
                      const ranked *baseline, json_t **out) {
    json_t *time = NULL;
    TRY(latency(in, j, mode, &time));
    kinds k = kinds_of(in->questions);
    values v = values_of(j, r, &k, -1);
    json_t *part = means_json(&v), *ci = json_object();
    for (int m = 0; m < N_MEASURES; m++)
        json_object_set_new(ci, measures[m].name, interval_json(v.of[m], v.n, 1, in->seed));
    json_object_set_new(part, "ci95", ci);
    if (baseline) {
        values b = values_of(j, baseline, &k, -1);
        json_object_set_new(part, "minus_bm25", difference_json(&v, &b, in->seed));
        values_clear(&b);
    }
    if (k.n) json_object_set_new(part, "by_kind", by_kind_json(j, r, &k));
    json_object_set_new(part, "latency_ms", time);
    values_clear(&v);
    kinds_clear(&k);
    *out = part;
    return OK;
}

/* ---- precision ---- */

static double cosine(int64_t dim, const float *a, const float *b) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t j = 0; j < dim; j++) {
        ab += (double)a[j] * b[j];
        aa += (double)a[j] * a[j];
        bb += (double)b[j] * b[j];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb;
}

status eval_vectors_against(const eval_input *in, json_t **out) {
    retriever *m = in->find.m;
    const backend *f32;
    TRY(backend_precise(PRECISION_F32, &f32));
    int64_t dim = m->c.embedding_dim, n = in->questions->n;
    float *rough = xmalloc((size_t)(n * dim + 1) * sizeof *rough),
          *exact = xmalloc((size_t)(n * dim + 1) * sizeof *exact);
    embed_precisely(m, f32);
    finder_embed_set(&in->find, in->questions, 0, n, exact);
    embed_precisely(m, in->be);
    finder_embed_set(&in->find, in->questions, 0, n, rough);
    double mean = 0, least = 1;
    for (int64_t i = 0; i < n; i++) {
        double c = cosine(dim, rough + i * dim, exact + i * dim);
        mean += c / (double)n;
        if (c < least) least = c;
    }
    *out = json_pack("{s:f, s:f}", "mean", mean, "least", least);
    free(rough);
    free(exact);
    return OK;
}
