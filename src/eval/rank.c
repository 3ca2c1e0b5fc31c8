/* Rankings of all questions by one search mode, in trec_eval's order, and run files. */
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "util/log.h"
#include "util/par.h"
#include "util/stop.h"

enum {
    BATCH = 256,          /* questions embedded and searched side by side */
    DOCUMENT_FACTOR = 10, /* passages searched for each document ranked */
};

/* ---- from hits to a ranking ---- */

/* trec_eval puts the greater name first where scores are equal. */
static void break_ties(const eval_units *u, int64_t *unit, const float *score, int64_t n) {
    buf a = {0}, b = {0};
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = i; j > 0 && score[j] == score[j - 1]; j--) {
            eval_unit_name(u, unit[j - 1], &a);
            eval_unit_name(u, unit[j], &b);
            if (strcmp(a.at, b.at) >= 0) break;
            int64_t t = unit[j];
            unit[j] = unit[j - 1];
            unit[j - 1] = t;
        }
    buf_clear(&a);
    buf_clear(&b);
}

static bool holds(const int64_t *unit, int64_t n, int64_t one) {
    for (int64_t i = 0; i < n; i++)
        if (unit[i] == one) return true;
    return false;
}

/* Passages the store has lost since are left out; a document counts where it is met first. */
static int64_t to_units(const eval_units *u, const hit *hits, int64_t n_hits, int64_t *unit,
                        float *score) {
    int64_t n = 0;
    for (int64_t i = 0; i < n_hits && n < EVAL_DEPTH; i++) {
        int64_t passage = corpus_find(u->c, hits[i].id);
        if (passage < 0) continue;
        int64_t one = eval_unit_of(u, passage);
        if (u->documents && holds(unit, n, one)) continue;
        unit[n] = one;
        score[n++] = hits[i].score;
    }
    break_ties(u, unit, score, n);
    return n;
}

/* ---- all questions ---- */

typedef struct ranking_job {
    const eval_input *in;
    const eval_units *u;
    search_mode mode;
    int64_t k, first;    /* passages searched; first question of the batch */
    const float *vector; /* [BATCH, E] of the batch; NULL: none needed */
    hit *hits;           /* [BATCH, k] */
    status result[BATCH];
    ranked *out;
} ranking_job;

static status rank_one(ranking_job *x, int64_t i) {
    int64_t q = x->first + i, n = 0;
    const qa *question = &x->in->questions->at[q];
    hit *hits = x->hits + i * x->k;
    const float *vector = x->vector ? x->vector + i * x->in->find.m->c.embedding_dim : NULL;
    TRY(finder_search(
        &x->in->find, question->question, x->in->questions->tokens + question->tokens.begin,
        question->tokens.end - question->tokens.begin, vector, x->mode, x->k, hits, &n));
    x->out->count[q] =
        to_units(x->u, hits, n, x->out->unit + q * EVAL_DEPTH, x->out->score + q * EVAL_DEPTH);
    return OK;
}

static void rank_task(void *arg, int64_t i, int worker) {
    (void)worker;
    ranking_job *x = arg;
    x->result[i] = rank_one(x, i);
}

static status rank_batch(ranking_job *x, int64_t n, float *rows) {
    if (x->vector) finder_embed_set(&x->in->find, x->in->questions, x->first, n, rows);
    par_for(n, rank_task, x);
    for (int64_t i = 0; i < n; i++)
        if (x->result[i]) return rank_one(x, i); /* the sentence was another thread's: again here */
    return OK;
}

void ranked_clear(ranked *r) {
    free(r->unit);
    free(r->score);
    free(r->count);
    *r = (ranked){0};
}

static const char *label_of(search_mode mode) {
    return mode == SEARCH_BM25    ? "searching by BM25"
           : mode == SEARCH_DENSE ? "searching by vectors"
                                  : "searching by both";
}

status eval_rank(const eval_input *in, const eval_units *u, search_mode mode, ranked *out) {
    int64_t n = in->questions->n;
    ranked r = {.n = n};
    r.unit = xmalloc((size_t)(n * EVAL_DEPTH + 1) * sizeof *r.unit);
    r.score = xmalloc((size_t)(n * EVAL_DEPTH + 1) * sizeof *r.score);
    r.count = xcalloc((size_t)n + 1, sizeof *r.count);
    ranking_job x = {.in = in,
                     .u = u,
                     .mode = mode,
                     .k = u->documents ? DOCUMENT_FACTOR * EVAL_DEPTH : EVAL_DEPTH,
                     .out = &r};
    x.hits = xmalloc((size_t)(BATCH * x.k) * sizeof *x.hits);
    float *rows = mode == SEARCH_BM25
                      ? NULL
                      : xmalloc((size_t)(BATCH * in->find.m->c.embedding_dim) * sizeof *rows);
    x.vector = rows;
    progress bar;
    progress_begin(&bar, label_of(mode), "questions", n);
    status st = OK;
    for (x.first = 0; x.first < n && !st; x.first += BATCH) {
        int64_t m = n - x.first < BATCH ? n - x.first : BATCH;
        st = rank_batch(&x, m, rows);
        progress_update(&bar, x.first + m);
        if (!st) st = stopped(bar.label);
    }
    progress_end(&bar);
    free(x.hits);
    free(rows);
    if (st)
        ranked_clear(&r);
    else
        *out = r;
    return st;
}

status ranked_write(const ranked *r, const eval_units *u, const qa_set *q, const char *tag,
                    file_writer *w) {
    buf id = {0}, name = {0};
    status st = OK;
    for (int64_t i = 0; i < r->n && !st; i++) {
        buf_reset(&id);
        eval_trec_id(q->at[i].id, &id);
        for (int64_t k = 0; k < r->count[i] && !st; k++) {
            eval_unit_name(u, r->unit[i * EVAL_DEPTH + k], &name);
            st = file_writer_printf(w, "%s Q0 %s %lld %.9g %s\n", id.at, name.at, (long long)k + 1,
                                    (double)r->score[i * EVAL_DEPTH + k], tag);
        }
    }
    buf_clear(&id);
    buf_clear(&name);
    return st;
}

/* ---- one question, timed ---- */

status find_timed(const eval_input *in, const char *question, search_mode mode, int64_t k,
                  hit *hits, int64_t *n_hits, double *embed_s, double *search_s) {
    retriever *m = mode == SEARCH_BM25 ? NULL : in->find.m;
    float *vector = NULL;
    tokens ids = {0};
    double start = now_s();
    tokenizer_encode(in->t, question, strlen(question), &ids);
    if (m) {
        vector = xmalloc((size_t)m->c.embedding_dim * sizeof *vector);
        finder_embed(&in->find, question, ids.id, ids.n, vector);
    }
    double embedded = now_s();
    status st = finder_search(&in->find, question, ids.id, ids.n, vector, mode, k, hits, n_hits);
    *embed_s = embedded - start;
    *search_s = now_s() - embedded;
    free(vector);
    tokens_clear(&ids);
    return st;
}

status stopped(const char *what) {
    if (stop_requested()) FAIL(ERR_STOPPED, "stopped while %s", what);
    return OK;
}
