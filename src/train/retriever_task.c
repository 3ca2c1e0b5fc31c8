/* A retriever's training step: choosing pairs, masking, the losses. Which questions a step sees
 * follows from its number alone, crops and negatives are drawn from the rng it is handed. */
#include "train/retriever_task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/dev_retrieval.h"
#include "util/hash.h"

enum { CROP_MIN = 4, CROP_MAX = 16, HARD_POOL = 20 };
static const double LEAST_LABELS = 1.0 / 32; /* of a batch, however few there are */

retriever_task_options retriever_task_defaults(void) {
    return (retriever_task_options){.batch_size = 256,
                                    .block_batch = 128,
                                    .hard_negatives = 1,
                                    .label_share = 0.5f,
                                    .crop_share = 0.4f,
                                    .label_epochs = 4,
                                    .bag_share = 0.93f,
                                    .dev_questions = 500,
                                    .dev_passages = 8192};
}

struct retriever_task {
    retriever *m;
    const corpus *c;
    const tokenizer *t;
    const qa_set *train, *dev;
    const lexical *lex;
    retriever_task_options o;
    dev_retrieval *figures;
    int64_t *labelled; /* [n_labelled] train questions with a relevant passage */
    int64_t n_labelled;
    int64_t *order;  /* [n_labelled] this epoch's order */
    int64_t epoch;   /* of order; -1: none yet */
    int64_t longest; /* tokens of the longest passage with its title */
    int64_t *hard;   /* [train->n, HARD_POOL] corpus indexes, -1 pads; -2 first: not sought yet */
    uint64_t *text;  /* [c->n] hash of each passage's tokens: equal ones are duplicates */
    arena *a;
    graph *g;
};

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
             "the collection has %ld passages; training a retriever needs at least 2: add "
             "documents with `raglan ingest`",
             (long)c->n);
    retriever_task *k = xcalloc(1, sizeof *k);
    *k = (retriever_task){
        .m = m, .c = c, .t = t, .train = train, .dev = dev, .lex = lex, .o = *o, .epoch = -1};
    k->labelled = xmalloc((size_t)(train->n + 1) * sizeof *k->labelled);
    for (int64_t i = 0; i < train->n; i++)
        if (train->at[i].relevant.end > train->at[i].relevant.begin &&
            train->at[i].tokens.end > train->at[i].tokens.begin)
            k->labelled[k->n_labelled++] = i;
    k->longest = longest_passage(c) + EMBED_TITLE_MAX;
    k->order = xmalloc((size_t)(k->n_labelled + 1) * sizeof *k->order);
    k->hard = xmalloc((size_t)(train->n + 1) * HARD_POOL * sizeof *k->hard);
    for (int64_t i = 0; i < train->n; i++) k->hard[i * HARD_POOL] = -2;
    k->text = hash_texts(c);
    k->a = arena_new(0);
    k->g = graph_new(k->a, NULL, true);
    if (o->recompute) graph_recompute(k->g);
    status st =
        dev->n ? dev_retrieval_new(c, dev, lex, o->dev_questions, o->dev_passages, 1, &k->figures)
               : OK;
    if (!st && o->loss == LOSS_PUBLISHED && k->n_labelled == 0)
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
    dev_retrieval_free(k->figures);
    free(k->labelled);
    free(k->order);
    free(k->hard);
    free(k->text);
    free(k);
}

/* ---- which questions ---- */

/* The i-th labelled question of the whole run: epochs are shuffles that depend on the seed
 * and their number alone, so a resumed run goes on with the same questions. */
static int64_t labelled_at(retriever_task *k, int64_t i) {
    int64_t epoch = i / k->n_labelled;
    if (epoch != k->epoch) {
        memcpy(k->order, k->labelled, (size_t)k->n_labelled * sizeof *k->order);
        rng r = rng_new(rng_hash(k->o.seed ^ 0x5261676c616e, (uint64_t)epoch));
        rng_shuffle(&r, k->order, k->n_labelled);
        k->epoch = epoch;
    }
    return k->order[i % k->n_labelled];
}

static bool holds_answer(const retriever_task *k, const answer_set *answers, int64_t p, buf *text,
                         buf *form) {
    span s = k->c->text[p];
    buf_reset(text);
    tokens_text(k->t, k->c->tokens + s.begin, s.end - s.begin, text, NULL);
    has_prepare(HAS_TOKENS, text->at ? text->at : "", text->len, form);
    return has_answer(answers, form);
}

/* Passages that BM25 ranks high for question q and that hold none of its answers: a passage of
 * another document that does may well answer it. */
static status find_hard(retriever_task *k, int64_t q) {
    int64_t *hard = k->hard + q * HARD_POOL;
    if (hard[0] != -2) return OK;
    const qa *x = &k->train->at[q];
    hit hits[2 * HARD_POOL];
    int64_t n = 0, n_hard = 0;
    TRY(lexical_search(k->lex, x->question, strlen(x->question), &bm25_default, 2 * HARD_POOL,
                       (hit_filter){0}, hits, &n));
    answer_set *answers =
        answer_set_new(HAS_TOKENS, (const char *const *)x->answers, x->n_answers, NULL);
    buf text = {0}, form = {0};
    for (int64_t i = 0; i < n && n_hard < HARD_POOL; i++) {
        int64_t p = corpus_find(k->c, hits[i].id);
        if (p >= 0 && !qa_is_relevant(k->train, x, p) && !holds_answer(k, answers, p, &text, &form))
            hard[n_hard++] = p;
    }
    while (n_hard < HARD_POOL) hard[n_hard++] = -1;
    buf_clear(&text);
    buf_clear(&form);
    answer_set_free(answers);
    return OK;
}

/* ---- a batch ---- */

typedef struct texts {
    int32_t *ids;
    span *at;
    int64_t n, n_ids;
} texts;

typedef struct pairs {
    texts query, passage;
    int64_t *question; /* [query.n] train question, -1: a crop */
    int64_t *source;   /* [passage.n] corpus index */
    int32_t *positive; /* [query.n] column */
    uint8_t *masked;   /* [query.n, passage.n] */
} pairs;

static texts texts_new(arena *a, int64_t n, int64_t n_ids) {
    return (texts){.ids = ARENA_ARRAY(a, int32_t, n_ids), .at = ARENA_ARRAY(a, span, n)};
}

static void texts_end(texts *t, int64_t n_ids) {
    t->at[t->n++] = (span){t->n_ids, t->n_ids + n_ids};
    t->n_ids += n_ids;
}

static void add_passage(retriever_task *k, pairs *b, int64_t p) {
    b->source[b->passage.n] = p;
    texts_end(&b->passage, embed_passage_ids(k->m, k->c, p, b->passage.ids + b->passage.n_ids));
}

static void add_question(retriever_task *k, pairs *b, int64_t q) {
    span s = k->train->at[q].tokens;
    memcpy(b->query.ids + b->query.n_ids, k->train->tokens + s.begin,
           (size_t)(s.end - s.begin) * sizeof(int32_t));
    b->question[b->query.n] = q;
    b->positive[b->query.n] = (int32_t)b->passage.n;
    texts_end(&b->query, s.end - s.begin);
}

/* A query out of passage p: a run of tokens or a random choice of them; in half of the cases
 * about half of them are taken out of the passage, so that words alone do not give it away. */
static void add_crop(retriever_task *k, pairs *b, int64_t p, rng *r) {
    span s = k->c->text[p];
    const int32_t *ids = k->c->tokens + s.begin;
    int64_t n = s.end - s.begin, want = CROP_MIN + rng_below(r, CROP_MAX - CROP_MIN + 1), taken = 0;
    if (want > n) want = n;
    bool is_run = rng_next(r) & 1, deletes = rng_next(r) & 1;
    int64_t first = is_run ? rng_below(r, n - want + 1) : 0;
    int32_t *query = b->query.ids + b->query.n_ids;

    b->question[b->query.n] = -1;
    b->positive[b->query.n] = (int32_t)b->passage.n;
    b->source[b->passage.n] = p;
    int32_t *passage = b->passage.ids + b->passage.n_ids;
    int64_t kept = embed_passage_ids(k->m, k->c, p, passage) - n; /* the title */
    for (int64_t i = 0; i < n; i++) {
        bool take = is_run ? i >= first && i < first + want : rng_below(r, n - i) < want - taken;
        if (take) query[taken++] = ids[i];
        if (!(take && deletes && (rng_next(r) & 1))) passage[kept++] = ids[i];
    }
    texts_end(&b->query, taken);
    texts_end(&b->passage, kept);
}

/* Pairs that must not count as negatives: the row's own passage in another column, or another of
 * the same text, and passages known to answer the row's question. */
static void mask_positives(retriever_task *k, pairs *b) {
    for (int64_t i = 0; i < b->query.n; i++) {
        uint64_t own = k->text[b->source[b->positive[i]]];
        const qa *q = b->question[i] >= 0 ? &k->train->at[b->question[i]] : NULL;
        for (int64_t j = 0; j < b->passage.n; j++) {
            if (j == b->positive[i]) continue;
            if (k->text[b->source[j]] == own || (q && qa_is_relevant(k->train, q, b->source[j])))
                b->masked[i * b->passage.n + j] = 1;
        }
    }
}

static int64_t random_passage(const retriever_task *k, rng *r) {
    for (;;) {
        int64_t p = rng_below(r, k->c->n);
        if (k->c->text[p].end > k->c->text[p].begin) return p;
    }
}

/* n pairs, n_labels of them labelled questions from number `label` of the run on. */
static status make_pairs(retriever_task *k, int64_t n, int64_t n_labels, int64_t label, rng *r,
                         pairs *out) {
    arena *a = graph_arena(k->g);
    int64_t n_passages = n + n_labels * k->o.hard_negatives, n_ids = CROP_MAX * n;
    for (int64_t i = 0; i < n_labels; i++) {
        span s = k->train->at[labelled_at(k, label + i)].tokens;
        n_ids += s.end - s.begin;
    }
    pairs b = {.query = texts_new(a, n, n_ids),
               .passage = texts_new(a, n_passages, n_passages * k->longest)};
    b.question = ARENA_ARRAY(a, int64_t, n);
    b.source = ARENA_ARRAY(a, int64_t, n_passages);
    b.positive = ARENA_ARRAY(a, int32_t, n);
    for (int64_t i = 0; i < n; i++) {
        if (i >= n_labels) {
            add_crop(k, &b, random_passage(k, r), r);
            continue;
        }
        int64_t q = labelled_at(k, label + i);
        span relevant = k->train->at[q].relevant;
        add_question(k, &b, q);
        add_passage(
            k, &b,
            k->train->relevant[relevant.begin + rng_below(r, relevant.end - relevant.begin)]);
    }
    for (int64_t i = 0; i < n_labels && k->o.hard_negatives > 0; i++) {
        int64_t q = labelled_at(k, label + i), n_hard = 0;
        TRY(find_hard(k, q));
        while (n_hard < HARD_POOL && k->hard[q * HARD_POOL + n_hard] >= 0) n_hard++;
        for (int64_t j = 0; j < k->o.hard_negatives && n_hard > 0; j++)
            add_passage(k, &b, k->hard[q * HARD_POOL + rng_below(r, n_hard)]);
    }
    b.masked = arena_push(a, (size_t)(b.query.n * b.passage.n));
    mask_positives(k, &b);
    *out = b;
    return OK;
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
    double met = steps * (double)k->o.batch_size; /* pairs of all these steps */
    if (k->m->c.n_blocks > 0 && k->o.block_batch) {
        double late = fmin(k->m->c.bag ? (1 - k->o.bag_share) * n : n, steps);
        met -= late * (double)(k->o.batch_size - k->o.block_batch);
    }
    double share = met > 0 ? k->o.label_epochs * (double)k->n_labelled / met : 1;
    return (float)fmin(k->o.label_share, fmax(share, LEAST_LABELS));
}

static status contrastive_step(retriever_task *k, int64_t step, int64_t total, rng *r,
                               step_result *out) {
    bool use_blocks =
        k->m->c.n_blocks > 0 && (!k->m->c.bag || step >= (int64_t)(k->o.bag_share * (float)total));
    bool use_labels = k->n_labelled > 0 && step >= (int64_t)(k->o.crop_share * (float)total);
    int64_t n = use_blocks && k->o.block_batch ? k->o.block_batch : k->o.batch_size;
    int64_t n_labels = use_labels ? (int64_t)ceilf(label_share(k, total) * (float)n) : 0;
    pairs b;
    TRY(make_pairs(k, n, n_labels, step * n_labels, r, &b));
    tensor *q = retriever_encode(k->m, k->g, b.query.ids, (spans){b.query.n, b.query.at},
                                 TEXT_QUESTION, use_blocks);
    tensor *c = retriever_encode(k->m, k->g, b.passage.ids, (spans){b.passage.n, b.passage.at},
                                 TEXT_PASSAGE, use_blocks);
    tensor *loss = k->m->c.unit
                       ? nested_loss(k, q, c, &b)
                       : t_contrastive(k->g, q, c, k->m->log_scale, b.positive, b.masked, true);
    graph_backward(k->g, loss, 1);
    out->loss = loss->v[0];
    out->tokens = b.query.n_ids + b.passage.n_ids;
    return OK;
}

/* docs/published.md: question number step; up to half of the batch positives, the rest uniform
 * negatives. */
static void published_step(retriever_task *k, int64_t step, rng *r, step_result *out) {
    arena *a = graph_arena(k->g);
    int64_t q_at = step % k->train->n, n = k->o.batch_size;
    const qa *q = &k->train->at[q_at];
    int64_t n_relevant = q->relevant.end - q->relevant.begin,
            n_positive = n_relevant < n / 2 ? n_relevant : n / 2;
    if (n_positive == 0 || n_relevant >= k->c->n || q->tokens.end == q->tokens.begin) {
        out->skipped = true;
        return;
    }
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
    graph_backward(k->g, loss, 1);
    out->loss = loss->v[0];
    out->tokens = t.n_ids + q->tokens.end - q->tokens.begin;
}

/* ---- the trainee ---- */

static status task_step(void *self, int64_t step, int64_t total, rng *r, step_result *out) {
    retriever_task *k = self;
    graph_reset(k->g, rng_next(r));
    /* a temperature below .01 only overfits (CLIP, Radford et al. 2021) */
    if (k->m->log_scale->v[0] > logf(100)) k->m->log_scale->v[0] = logf(100);
    if (k->o.loss == LOSS_CONTRASTIVE) return contrastive_step(k, step, total, r, out);
    published_step(k, step, r, out);
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
