/* A retriever's training step: its losses, on a batch as a whole or in slices. */
#include "train/retriever_task_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/hash.h"

static const double LEAST_LABELS = 1.0 / 32; /* of a batch, however few there are */

retriever_task_options retriever_task_defaults(void) {
    return (retriever_task_options){.batch_size = 256,
                                    .block_batch = 128,
                                    .accumulate = 1,
                                    .hard_negatives = 1,
                                    .label_share = 0.5f,
                                    .crop_share = 0.4f,
                                    .label_epochs = 4,
                                    .bag_share = 0.93f,
                                    .dev_questions = 500,
                                    .dev_passages = 8192};
}

static int64_t longest_passage(const corpus *c) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (c->text[i].end - c->text[i].begin > n) n = c->text[i].end - c->text[i].begin;
    return n;
}

static uint64_t *hash_texts(const corpus *c) {
    uint64_t *hash = xmalloc((size_t)c->n * sizeof *hash);
    for (int64_t i = 0; i < c->n; i++)
        hash[i] = hash64(c->tokens + c->text[i].begin,
                         (size_t)(c->text[i].end - c->text[i].begin) * sizeof *c->tokens);
    return hash;
}

status retriever_task_new(retriever *m, const corpus *c, const tokenizer *t, const qa_set *train,
                          const qa_set *dev, const lexical *lex, const retriever_task_options *o,
                          retriever_task **out) {
    if (c->n < 2)
        FAIL(ERR_STATE,
             "the collection has %ld passage%s; training a retriever needs at least 2: add "
             "documents with `raglan ingest`",
             (long)c->n, plural(c->n));
    retriever_task *k = xcalloc(1, sizeof *k);
    *k = (retriever_task){.m = m, .c = c, .t = t, .train = train, .dev = dev, .lex = lex, .o = *o};
    k->labelled = epochs_new(train->n, o->seed ^ 0x5261676c616e);
    for (int64_t i = 0; i < train->n; i++)
        if (train->at[i].relevant.end > train->at[i].relevant.begin &&
            train->at[i].tokens.end > train->at[i].tokens.begin)
            epochs_add(&k->labelled, i);
    k->longest = longest_passage(c) + EMBED_TITLE_MAX;
    k->hard = xmalloc((size_t)(train->n + 1) * HARD_POOL * sizeof *k->hard);
    for (int64_t i = 0; i < train->n; i++) k->hard[i * HARD_POOL] = HARD_UNKNOWN;
    k->text = hash_texts(c);
    k->a = arena_new(0);
    k->inputs = arena_new(0);
    k->g = graph_new(k->a, NULL, true);
    if (o->recompute) graph_recompute(k->g);
    status st =
        dev->n ? dev_retrieval_new(c, dev, lex, o->dev_questions, o->dev_passages, 1, &k->figures)
               : OK;
    if (!st && o->loss == LOSS_PUBLISHED && k->labelled.n == 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "no train question has a passage that answers it; the published loss learns "
                     "from such pairs alone: add questions with "
                     "`raglan ingest`, or train with --loss contrastive");
    if (st) {
        retriever_task_free(k);
        return st;
    }
    *out = k;
    return OK;
}

void retriever_task_free(retriever_task *k) {
    if (!k) return;
    graph_free(k->g);
    arena_free(k->a);
    arena_free(k->inputs);
    dev_retrieval_free(k->figures);
    epochs_clear(&k->labelled);
    free(k->hard);
    free(k->text);
    free(k);
}

/* ---- losses ---- */

/* Matryoshka (Kusupati et al. 2022): the same loss on the first half, quarter, ... of the
 * dimensions, so that a vector may be cut and the whole one is the better for it. */
static tensor *nested_loss(retriever_task *k, tensor *q, tensor *c, const pairs *b) {
    tensor *part[8];
    float weight[8];
    int n = 0;
    for (int64_t e = k->m->c.embedding_dim; n == 0 || (e >= 32 && n < 4); e /= 2, n++) {
        bool whole = e == k->m->c.embedding_dim;
        tensor *qe = whole ? q : t_normalize(k->g, t_cols(k->g, q, 0, e));
        tensor *ce = whole ? c : t_normalize(k->g, t_cols(k->g, c, 0, e));
        part[n] = t_contrastive(k->g, qe, ce, k->m->log_scale, b->positive, b->masked, true);
    }
    for (int i = 0; i < n; i++) weight[i] = 1.0f / (float)n;
    return t_sum(k->g, part, weight, n);
}

/* The labelled share of a batch, once labels are used: label_share, or less so that no question is
 * met more than label_epochs times, which teaches its document by heart. */
static float label_share(const retriever_task *k, int64_t total) {
    double n = (double)total, steps = (1 - k->o.crop_share) * n;
    double met = steps * (double)k->o.batch_size; /* pairs of all these steps, a slice */
    if (k->m->c.n_blocks > 0 && k->o.block_batch) {
        double late = fmin(k->m->c.bag ? (1 - k->o.bag_share) * n : n, steps);
        met -= late * (double)(k->o.batch_size - k->o.block_batch);
    }
    met *= (double)k->o.accumulate;
    double share = met > 0 ? k->o.label_epochs * (double)k->labelled.n / met : 1;
    return (float)fmin(k->o.label_share, fmax(share, LEAST_LABELS));
}

static tensor *loss_of(retriever_task *k, tensor *q, tensor *c, const pairs *b) {
    if (k->m->c.unit) return nested_loss(k, q, c, b);
    return t_contrastive(k->g, q, c, k->m->log_scale, b->positive, b->masked, true);
}

static void whole_step(retriever_task *k, const pairs *b, bool use_blocks, step_result *out) {
    const texts *tq = &b->query, *tc = &b->passage;
    tensor *q =
        retriever_encode(k->m, k->g, tq->ids, (spans){tq->n, tq->at}, TEXT_QUESTION, use_blocks);
    tensor *c =
        retriever_encode(k->m, k->g, tc->ids, (spans){tc->n, tc->at}, TEXT_PASSAGE, use_blocks);
    tensor *loss = loss_of(k, q, c, b);
    graph_backward(k->g, loss, 1);
    out->loss = loss->v[0];
    out->tokens = tq->n_ids + tc->n_ids;
}

/* ---- a batch in slices ---- */

/* One side of the batch: its vectors, gathered from all slices, and their gradient. */
typedef struct side {
    const texts *t;
    text_kind kind;
    tensor all; /* [t->n, E] with its gradient, as a leaf */
} side;

static side side_new(retriever_task *k, const texts *t, text_kind kind) {
    size_t bytes = (size_t)(t->n * k->m->c.embedding_dim) * sizeof(float);
    return (side){t,
                  kind,
                  {.rows = t->n,
                   .cols = k->m->c.embedding_dim,
                   .v = arena_take(k->inputs, bytes),
                   .d = arena_push(k->inputs, bytes)}};
}

/* Encodes slice i: its vectors are kept, or its gradients added from those of its vectors. */
static void pass_slice(retriever_task *k, const side *s, int64_t i, bool backward,
                       bool use_blocks) {
    int64_t begin = s->t->n * i / k->o.accumulate, end = s->t->n * (i + 1) / k->o.accumulate;
    int64_t n = end - begin, at = begin * s->all.cols, first = s->t->at[begin].begin;
    span *own = ARENA_ARRAY(graph_arena(k->g), span, n);
    for (int64_t j = 0; j < n; j++)
        own[j] = (span){s->t->at[begin + j].begin - first, s->t->at[begin + j].end - first};
    tensor *y =
        retriever_encode(k->m, k->g, s->t->ids + first, (spans){n, own}, s->kind, use_blocks);
    if (backward)
        graph_backward_from(k->g, y, s->all.d + at);
    else
        memcpy(s->all.v + at, y->v, (size_t)(n * s->all.cols) * sizeof(float));
}

/* The loss of a batch whose activations need not all be there at once (gradient cache, Gao et al.
 * 2021): all texts become vectors, a slice after the other; the loss gives the vectors' gradient;
 * then each slice is encoded once more, with the same elements dropped, and walked back from
 * there. */
static status sliced_step(retriever_task *k, const pairs *b, bool use_blocks, uint64_t seed,
                          step_result *out) {
    int64_t n = k->o.accumulate, n_tokens = b->query.n_ids + b->passage.n_ids;
    side q = side_new(k, &b->query, TEXT_QUESTION), c = side_new(k, &b->passage, TEXT_PASSAGE);
    for (int64_t i = 0; i < n; i++) {
        graph_reset(k->g, rng_hash(seed, (uint64_t)i));
        pass_slice(k, &q, i, false, use_blocks);
        pass_slice(k, &c, i, false, use_blocks);
    }
    graph_reset(k->g, seed);
    tensor *loss = loss_of(k, &q.all, &c.all, b);
    double mean = loss->v[0];
    graph_backward(k->g, loss, 1);
    for (int64_t i = 0; i < n; i++) {
        graph_reset(k->g, rng_hash(seed, (uint64_t)i));
        pass_slice(k, &q, i, true, use_blocks);
        pass_slice(k, &c, i, true, use_blocks);
        double share = (double)(n + 3 * (i + 1)) / (double)(4 * n); /* backward is two forward */
        out->loss = share * mean;
        out->tokens = (int64_t)(share * (double)n_tokens);
        TRY(train_pulse(out, share));
    }
    return OK;
}

static status contrastive_step(retriever_task *k, int64_t step, int64_t total, uint64_t seed,
                               rng *r, step_result *out) {
    bool use_blocks =
        k->m->c.n_blocks > 0 && (!k->m->c.bag || step >= (int64_t)(k->o.bag_share * (float)total));
    bool use_labels = k->labelled.n > 0 && step >= (int64_t)(k->o.crop_share * (float)total);
    int64_t n = use_blocks && k->o.block_batch ? k->o.block_batch : k->o.batch_size;
    n *= k->o.accumulate;
    int64_t n_labels = use_labels ? (int64_t)ceilf(label_share(k, total) * (float)n) : 0;
    pairs b;
    TRY(make_pairs(k, n, n_labels, step * n_labels, r, &b));
    if (k->o.accumulate > 1) return sliced_step(k, &b, use_blocks, seed, out);
    whole_step(k, &b, use_blocks, out);
    return OK;
}

/* docs/published.md: question number i; up to half of the batch positives, the rest uniform
 * negatives. Skipped where there are none of either. */
static void published_question(retriever_task *k, int64_t i_question, rng *r, step_result *out) {
    arena *a = graph_arena(k->g);
    int64_t q_at = i_question % k->train->n, n = k->o.batch_size;
    const qa *q = &k->train->at[q_at];
    int64_t n_relevant = q->relevant.end - q->relevant.begin,
            n_positive = n_relevant < n / 2 ? n_relevant : n / 2;
    if (n_positive == 0 || n_relevant >= k->c->n || q->tokens.end == q->tokens.begin) return;
    texts t = texts_new(a, n, n * k->longest);
    uint8_t *is_positive = arena_push(a, (size_t)n);
    int64_t *relevant = ARENA_ARRAY(a, int64_t, n_relevant);
    memcpy(relevant, k->train->relevant + q->relevant.begin, (size_t)n_relevant * sizeof *relevant);
    rng_shuffle(r, relevant, n_relevant);
    for (int64_t i = 0; i < n; i++) {
        int64_t p = i < n_positive ? relevant[i] : rng_below(r, k->c->n);
        while (i >= n_positive && qa_is_relevant(k->train, q, p)) p = rng_below(r, k->c->n);
        is_positive[i] = i < n_positive;
        texts_end(&t, embed_passage_ids(k->m, k->c, p, t.ids + t.n_ids));
    }
    tensor *vq = retriever_encode(k->m, k->g, k->train->tokens + q->tokens.begin,
                                  (spans){1, &(span){0, q->tokens.end - q->tokens.begin}},
                                  TEXT_QUESTION, true);
    tensor *vc = retriever_encode(k->m, k->g, t.ids, (spans){t.n, t.at}, TEXT_PASSAGE, true);
    tensor *scores = t_scale(k->g, t_linear_t(k->g, vq, vc), 1.0f / (float)k->m->c.embedding_dim);
    tensor *loss = t_published_loss(k->g, scores, is_positive);
    float share = 1 / (float)k->o.accumulate;
    graph_backward(k->g, loss, share);
    out->loss += share * loss->v[0];
    out->tokens += t.n_ids + q->tokens.end - q->tokens.begin;
}

/* The mean over the step's questions; one that teaches nothing counts as a loss of 0. */
static void published_step(retriever_task *k, int64_t step, uint64_t seed, rng *r,
                           step_result *out) {
    for (int64_t i = 0; i < k->o.accumulate; i++) {
        if (i > 0) graph_reset(k->g, rng_hash(seed, (uint64_t)i));
        published_question(k, step * k->o.accumulate + i, r, out);
    }
    out->skipped = out->tokens == 0;
}

/* ---- the trainee ---- */

static status task_step(void *self, int64_t step, int64_t total, rng *r, step_result *out) {
    retriever_task *k = self;
    uint64_t seed = rng_next(r);
    graph_reset(k->g, seed);
    arena_reset(k->inputs, 0);
    /* a temperature below .01 only overfits (CLIP, Radford et al. 2021) */
    if (k->m->log_scale->v[0] > logf(100)) k->m->log_scale->v[0] = logf(100);
    if (k->o.loss == LOSS_CONTRASTIVE) return contrastive_step(k, step, total, seed, r, out);
    published_step(k, step, seed, r, out);
    return OK;
}

static status task_evaluate(void *self, bool final, dev_result *out) {
    (void) final;
    retriever_task *k = self;
    return dev_retrieval_run(k->figures, k->m, &out->score, &out->figures, &out->baseline);
}

enum { SHOWN_PASSAGES = 5 };

static status task_show(void *self, int64_t step, buf *text, json_t **example) {
    retriever_task *k = self;
    dev_retrieval_show(k->figures, k->m, k->t, step, SHOWN_PASSAGES, text, example);
    return OK;
}

void retriever_task_trainee(retriever_task *k, trainee *out) {
    out->type = "retriever";
    out->self = k;
    out->p = k->m->p;
    out->step = task_step;
    out->evaluate = k->figures && dev_retrieval_questions(k->figures) > 0 ? task_evaluate : NULL;
    out->show = out->evaluate ? task_show : NULL;
}
