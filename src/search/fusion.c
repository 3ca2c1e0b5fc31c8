/* Fusion of lexical and dense scores, document context, and the choice of their weights. */
#include "search/fusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"
#include "util/par.h"

const fusion fusion_default = {
    .mode = FUSION_SUM, .lambda = 6, .share = .15, .reach = 5, .near = .1};

const char *fusion_mode_name(fusion_mode mode) {
    return mode == FUSION_RRF ? "rrf" : "weighted_sum";
}

enum { RRF_K = 60 }; /* Cormack et al. 2009 */

static void score_sum(const fusion *f, const fusion_pool *p, double *s) {
    for (int64_t i = 0; i < p->n; i++) {
        const candidate *c = &p->c[i];
        s[i] = c->bm25 + (c->has_dense ? f->lambda * c->dense : 0);
    }
}

/* Adds 1 / (RRF_K + rank) for the ranked [n], whose ids are indices: candidates ascend by id,
 * so ties between indices fall as ties between ids. */
static void add_ranks(hit *ranked, int64_t n, double *s) {
    hits_sort(ranked, n);
    for (int64_t r = 0; r < n; r++) s[ranked[r].id] += 1.0 / (RRF_K + 1 + (double)r);
}

static void score_rrf(const fusion_pool *p, double *s) {
    hit *ranked = xmalloc((size_t)(p->n + 1) * sizeof *ranked);
    int64_t n = 0;
    memset(s, 0, (size_t)p->n * sizeof *s);
    for (int64_t i = 0; i < p->n; i++)
        if (p->c[i].bm25 > 0) ranked[n++] = (hit){i, p->c[i].bm25};
    add_ranks(ranked, n, s);
    n = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (p->c[i].has_dense) ranked[n++] = (hit){i, p->c[i].dense};
    add_ranks(ranked, n, s);
    free(ranked);
}

int64_t fusion_ahead(const fusion_pool *p, hit ahead[NEAR_DEPTH]) {
    topk best = {.at = ahead, .k = NEAR_DEPTH};
    for (int64_t i = 0; i < p->n; i++) topk_add(&best, (hit){i, p->c[i].score});
    return best.n;
}

static void add_nearness(const fusion *f, const fusion_pool *p) {
    hit ahead[NEAR_DEPTH];
    int64_t n = fusion_ahead(p, ahead);
    for (int64_t i = 0; i < n; i++)
        p->c[ahead[i].id].score += (float)(f->near * (double)p->near[ahead[i].id]);
}

void fusion_score(const fusion *f, const fusion_pool *p) {
    double *s = xmalloc((size_t)(p->n + 1) * sizeof *s); /* before smoothing */
    if (f->mode == FUSION_RRF)
        score_rrf(p, s);
    else
        score_sum(f, p, s);
    for (int64_t i = 0; i < p->n; i++) {
        double beside = 0; /* the best neighbour's */
        if (p->begin && f->share != 0)
            for (int32_t j = p->begin[i]; j < p->begin[i + 1]; j++)
                beside = fmax(beside, s[p->neighbour[j]]);
        p->c[i].score = (float)(s[i] + f->share * beside);
    }
    free(s);
    if (p->near && f->mode == FUSION_SUM) add_nearness(f, p);
}

int64_t fusion_top(const fusion_pool *p, int64_t k, hit *hits) {
    topk best = {.at = hits, .k = k};
    for (int64_t i = 0; i < p->n; i++) topk_add(&best, (hit){p->c[i].id, p->c[i].score});
    topk_sort(&best);
    return best.n;
}

/* ---- tuning ---- */

static const double LAMBDAS[] = {0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30};
/* Dev questions often have passages that training has seen, which flatters their neighbours; on
 * documents never seen more than .2 loses. */
static const double SHARES[] = {0, .05, .1, .15, .2};
enum {
    N_LAMBDAS = sizeof LAMBDAS / sizeof *LAMBDAS,
    N_SHARES = sizeof SHARES / sizeof *SHARES,
    GRID = N_LAMBDAS * N_SHARES,
    AT_DEFAULT = GRID, /* what *f held; BM25 alone; dense alone */
    AT_BM25,
    AT_DENSE,
    SETTINGS,
    DEPTH = 10 /* MRR@10 */
};

typedef struct tuning {
    const fusion_pool *pools;
    fusion given;
    double *rr; /* [n, SETTINGS] reciprocal ranks */
} tuning;

/* 1 / rank of the first relevant hit among the first DEPTH, else 0. */
static double reciprocal_rank(const fusion_pool *p) {
    hit top[DEPTH], first = {INT64_MAX, 0};
    bool any = false;
    for (int64_t i = 0; i < p->n; i++) {
        hit h = {p->c[i].id, p->c[i].score};
        if (!p->relevant[i] || (any && !hit_before(h, first))) continue;
        first = h;
        any = true;
    }
    int64_t n = any ? fusion_top(p, DEPTH, top) : 0;
    for (int64_t r = 0; r < n; r++)
        if (top[r].id == first.id) return 1.0 / (double)(r + 1);
    return 0;
}

static double side_alone(const fusion_pool *p, bool dense) {
    for (int64_t i = 0; i < p->n; i++) {
        candidate *c = &p->c[i];
        c->score = dense ? (c->has_dense ? c->dense : -1e30f) : c->bm25 > 0 ? c->bm25 : -1e30f;
    }
    return reciprocal_rank(p);
}

static fusion setting(const tuning *t, int i) {
    fusion f = t->given;
    if (i < GRID) {
        f.lambda = LAMBDAS[i / N_SHARES];
        f.share = SHARES[i % N_SHARES];
    }
    return f;
}

static void try_settings(void *arg, int64_t i_pool, int worker) {
    (void)worker;
    const tuning *t = arg;
    const fusion_pool *p = &t->pools[i_pool];
    double *rr = t->rr + i_pool * SETTINGS;
    for (int i = 0; i <= AT_DEFAULT; i++) {
        fusion f = setting(t, i);
        fusion_score(&f, p);
        rr[i] = reciprocal_rank(p);
    }
    rr[AT_BM25] = side_alone(p, false);
    rr[AT_DENSE] = side_alone(p, true);
}

/* Is the gain of setting `best` over what was given more than two standard errors? Less may be luck
 * with these questions, and what was given has stood the test of others. */
static bool gains(const tuning *t, int64_t n, int best) {
    double sum = 0, squares = 0;
    for (int64_t q = 0; q < n; q++) {
        double d = t->rr[q * SETTINGS + best] - t->rr[q * SETTINGS + AT_DEFAULT];
        sum += d;
        squares += d * d;
    }
    if (n < 2) return false;
    double mean = sum / (double)n, variance = (squares - sum * mean) / (double)(n - 1);
    return mean > 0 && mean * mean * (double)n > 4 * variance;
}

void fusion_tune(const fusion_pool *pools, int64_t n, fusion *f, fusion_tuning *out) {
    *out = (fusion_tuning){0};
    if (n < 1) return;
    tuning t = {pools, *f, xcalloc((size_t)n * SETTINGS, sizeof *t.rr)};
    par_for(n, try_settings, &t);
    double mrr[SETTINGS] = {0};
    for (int64_t q = 0; q < n; q++)
        for (int i = 0; i < SETTINGS; i++) mrr[i] += t.rr[q * SETTINGS + i] / (double)n;
    int best = 0;
    for (int i = 1; i < GRID; i++)
        if (mrr[i] > mrr[best]) best = i;
    if (!gains(&t, n, best)) best = AT_DEFAULT;
    *f = setting(&t, best);
    *out = (fusion_tuning){mrr[best], mrr[AT_DEFAULT], mrr[AT_BM25], mrr[AT_DENSE]};
    free(t.rr);
}
