/* Dev figures of a retriever: the pool and BM25's scores are fixed when training begins, vectors
 * are made anew at each evaluation. */
#include "train/dev_retrieval.h"

#include <stdlib.h>
#include <string.h>

#include "search/fusion.h"
#include "util/rng.h"

struct dev_retrieval {
    const corpus *c;
    const qa_set *dev;
    int64_t n_questions, n_passages;
    int64_t *question; /* [n_questions] index into dev */
    int64_t *passage;  /* [n_passages] corpus index, ascending */
    float *vectors;    /* [n_passages, E] of the last run; NULL before */
    float *questions;  /* [n_questions, E] likewise */
    float *bm25;       /* [n_questions, n_passages] 0: no common word */
};

/* ---- the pool ---- */

static void choose_questions(dev_retrieval *d, int64_t most, rng *r) {
    int64_t *order = xmalloc((size_t)(d->dev->n + 1) * sizeof *order), n = 0;
    for (int64_t i = 0; i < d->dev->n; i++)
        if (d->dev->at[i].relevant.end > d->dev->at[i].relevant.begin) order[n++] = i;
    rng_shuffle(r, order, n);
    d->question = order;
    d->n_questions = n < most ? n : most;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void choose_passages(dev_retrieval *d, int64_t most, rng *r) {
    const corpus *c = d->c;
    uint8_t *in = xcalloc((size_t)c->n + 1, 1);
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_questions; i++) {
        span s = d->dev->at[d->question[i]].relevant;
        for (int64_t j = s.begin; j < s.end; j++)
            if (!in[d->dev->relevant[j]]) in[d->dev->relevant[j]] = 1, n++;
    }
    int64_t *others = xmalloc((size_t)(c->n + 1) * sizeof *others), n_others = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (!in[i]) others[n_others++] = i;
    rng_shuffle(r, others, n_others);
    for (int64_t i = 0; i < n_others && n < most; i++) in[others[i]] = 1, n++;
    d->passage = others;
    for (int64_t i = 0; i < c->n; i++)
        if (in[i]) d->passage[d->n_passages++] = i;
    qsort(d->passage, (size_t)d->n_passages, sizeof *d->passage, ascending);
    free(in);
}

static status score_bm25(dev_retrieval *d, const lexical *lex) {
    int64_t *ids = xmalloc((size_t)(d->n_passages + 1) * sizeof *ids);
    for (int64_t p = 0; p < d->n_passages; p++) ids[p] = d->c->id[d->passage[p]];
    d->bm25 = xcalloc((size_t)(d->n_questions * d->n_passages) + 1, sizeof *d->bm25);
    status st = OK;
    for (int64_t q = 0; q < d->n_questions && !st; q++) {
        const char *text = d->dev->at[d->question[q]].question;
        st = lexical_score_ids(lex, text, strlen(text), &bm25_default, ids, d->n_passages,
                               d->bm25 + q * d->n_passages);
    }
    free(ids);
    return st;
}

status dev_retrieval_new(const corpus *c, const qa_set *dev, const lexical *lex,
                         int64_t n_questions, int64_t n_passages, uint64_t seed,
                         dev_retrieval **out) {
    dev_retrieval *d = xcalloc(1, sizeof *d);
    d->c = c;
    d->dev = dev;
    rng r = rng_new(seed);
    choose_questions(d, n_questions, &r);
    choose_passages(d, n_passages, &r);
    status st = score_bm25(d, lex);
    if (st) {
        dev_retrieval_free(d);
        return st;
    }
    *out = d;
    return OK;
}

void dev_retrieval_free(dev_retrieval *d) {
    if (!d) return;
    free(d->question);
    free(d->passage);
    free(d->bm25);
    free(d->vectors);
    free(d->questions);
    free(d);
}

int64_t dev_retrieval_questions(const dev_retrieval *d) {
    return d->n_questions;
}

/* ---- figures ---- */

typedef struct figures {
    double mrr, success5, success20;
} figures;

/* Rank, from 1, of the first relevant passage; behind all that score the same. A model whose
 * scores are no numbers finds nothing. */
static int64_t first_relevant(const dev_retrieval *d, int64_t q, const float *score) {
    const qa *x = &d->dev->at[d->question[q]];
    float best = -1e30f;
    int64_t best_p = -1;
    for (int64_t p = 0; p < d->n_passages; p++)
        if (score[p] > best && qa_is_relevant(d->dev, x, d->passage[p]))
            best = score[p], best_p = p;
    if (best_p < 0) return d->n_passages + 1;
    int64_t rank = 1;
    for (int64_t p = 0; p < d->n_passages; p++)
        if (score[p] >= best && !qa_is_relevant(d->dev, x, d->passage[p])) rank++;
    return rank;
}

static void count(figures *f, int64_t rank) {
    if (rank <= 10) f->mrr += 1.0 / (double)rank;
    f->success5 += rank <= 5;
    f->success20 += rank <= 20;
}

status dev_retrieval_run(dev_retrieval *d, retriever *m, double *score, json_t **out,
                         json_t **baseline) {
    int64_t e = m->c.embedding_dim, n_q = d->n_questions, n_p = d->n_passages;
    float *passages = d->vectors = xrealloc(d->vectors, (size_t)(n_p * e + 1) * sizeof *passages);
    float *questions = d->questions =
        xrealloc(d->questions, (size_t)(n_q * e + 1) * sizeof *questions);
    float *dense = xmalloc((size_t)(n_p + 1) * sizeof *dense),
          *sum = xmalloc((size_t)(n_p + 1) * sizeof *sum);
    status st = embed_passages(m, d->c, d->passage, n_p, passages, NULL, NULL);
    figures f_dense = {0}, f_bm25 = {0}, f_sum = {0};
    for (int64_t q = 0; q < n_q && !st; q++) {
        span text = d->dev->at[d->question[q]].tokens;
        embed_texts(m, d->dev->tokens, &text, 1, TEXT_QUESTION, questions + q * e);
        backend_cpu()->matmul(&(matmul){.m = 1,
                                        .n = n_p,
                                        .k = e,
                                        .a = questions + q * e,
                                        .lda = e,
                                        .b = passages,
                                        .ldb = e,
                                        .b_t = true,
                                        .c = dense,
                                        .ldc = n_p});
        const float *words = d->bm25 + q * n_p, lambda = (float)fusion_default.lambda;
        for (int64_t p = 0; p < n_p; p++) sum[p] = words[p] + lambda * dense[p];
        count(&f_dense, first_relevant(d, q, dense));
        count(&f_bm25, first_relevant(d, q, words));
        count(&f_sum, first_relevant(d, q, sum));
    }
    free(dense);
    free(sum);
    if (st) return st;
    double n = n_q > 0 ? (double)n_q : 1;
    *score = (f_dense.mrr + f_sum.mrr) / (2 * n);
    *out = json_pack("{s:f, s:f, s:f, s:f, s:f}", "mrr@10", f_dense.mrr / n, "success@5",
                     f_dense.success5 / n, "success@20", f_dense.success20 / n, "hybrid_mrr@10",
                     f_sum.mrr / n, "hybrid_success@5", f_sum.success5 / n);
    *baseline = json_pack("{s:f, s:f, s:f}", "mrr@10", f_bm25.mrr / n, "success@5",
                          f_bm25.success5 / n, "success@20", f_bm25.success20 / n);
    return OK;
}

/* ---- an example ---- */

static char *text_of(const corpus *c, const tokenizer *t, span s) {
    buf b = {0};
    tokens_text(t, c->tokens + s.begin, s.end - s.begin, &b, NULL);
    char *text = buf_steal(&b), *first = text + strspn(text, " ");
    memmove(text, first, strlen(first) + 1);
    return text;
}

void dev_retrieval_show(const dev_retrieval *d, const retriever *m, const tokenizer *t, int64_t i,
                        int64_t n, buf *text, json_t **example) {
    if (!d->vectors || d->n_questions == 0) return;
    int64_t e = m->c.embedding_dim, q = i % d->n_questions;
    const qa *x = &d->dev->at[d->question[q]];
    float *score = xmalloc((size_t)d->n_passages * sizeof *score);
    backend_cpu()->matmul(&(matmul){.m = 1,
                                    .n = d->n_passages,
                                    .k = e,
                                    .a = d->questions + q * e,
                                    .lda = e,
                                    .b = d->vectors,
                                    .ldb = e,
                                    .b_t = true,
                                    .c = score,
                                    .ldc = d->n_passages});
    json_t *list = json_array();
    buf_printf(text, "question: %s\n", x->question);
    for (int64_t rank = 1; rank <= n && rank <= d->n_passages; rank++) {
        int64_t best = 0;
        for (int64_t p = 1; p < d->n_passages; p++)
            if (score[p] > score[best]) best = p;
        int64_t at = d->passage[best];
        bool relevant = qa_is_relevant(d->dev, x, at);
        char *title = text_of(d->c, t, d->c->title[at]), *words = text_of(d->c, t, d->c->text[at]);
        buf_printf(text, "  %ld. %.3f %c %s - %.100s\n", (long)rank, (double)score[best],
                   relevant ? '+' : ' ', title, words);
        json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:b}", "title", title, "text", words,
                                              "score", (double)score[best], "relevant", relevant));
        score[best] = -1e30f;
        free(title);
        free(words);
    }
    *example = json_pack("{s:s, s:o}", "question", x->question, "passages", list);
    free(score);
}
