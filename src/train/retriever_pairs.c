/* What a retriever's step sees: questions or crops with their passages, hard negatives, and which
 * pairs are no negatives. Which questions follows from the step's number alone, crops and negatives
 * are drawn from the rng that is handed in. */
#include <string.h>

#include "train/retriever_task_int.h"
#include "util/par.h"

enum { CROP_MIN = 4, CROP_MAX = 16 };

/* ---- hard negatives ---- */

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
static status find_hard(const retriever_task *k, int64_t q, int64_t *hard) {
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

typedef struct hard_search {
    retriever_task *k;
    const int64_t *question; /* [n] each once */
    status *result;          /* [n] */
} hard_search;

static void find_hard_of(void *arg, int64_t i, int worker) {
    (void)worker;
    hard_search *s = arg;
    s->result[i] = find_hard(s->k, s->question[i], s->k->hard + s->question[i] * HARD_POOL);
}

/* Hard negatives for those of n labelled questions that have not been met before, side by side: one
 * takes as long as a good part of a step. */
static status find_all_hard(retriever_task *k, int64_t label, int64_t n) {
    int64_t *question = ARENA_ARRAY(k->inputs, int64_t, n), n_new = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t q = epochs_at(&k->labelled, label + i), *hard = k->hard + q * HARD_POOL;
        if (hard[0] != HARD_UNKNOWN) continue;
        question[n_new++] = q;
        hard[0] = -1; /* listed */
    }
    hard_search s = {k, question, ARENA_ARRAY(k->inputs, status, n)};
    par_for(n_new, find_hard_of, &s);
    status st = OK;
    for (int64_t i = 0; i < n_new; i++) {
        if (!s.result[i]) continue;
        find_hard_of(&s, i, 0); /* the sentence was another thread's: say it here */
        if (s.result[i]) k->hard[question[i] * HARD_POOL] = HARD_UNKNOWN;
        if (!st) st = s.result[i];
    }
    return st;
}

/* ---- a batch ---- */

texts texts_new(arena *a, int64_t n, int64_t n_ids) {
    return (texts){.ids = ARENA_ARRAY(a, int32_t, n_ids), .at = ARENA_ARRAY(a, span, n)};
}

void texts_end(texts *t, int64_t n_ids) {
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

typedef struct masking {
    const retriever_task *k;
    pairs *b;
} masking;

/* Pairs that must not count as negatives: the row's own passage in another column, or another of
 * the same text, and passages known to answer the row's question. */
static void mask_rows(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const retriever_task *k = ((masking *)arg)->k;
    pairs *b = ((masking *)arg)->b;
    for (int64_t i = begin; i < end; i++) {
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

status make_pairs(retriever_task *k, int64_t n, int64_t n_labels, int64_t label, rng *r,
                  pairs *out) {
    arena *a = k->inputs;
    int64_t n_passages = n + n_labels * k->o.hard_negatives, n_ids = CROP_MAX * n;
    for (int64_t i = 0; i < n_labels; i++) {
        span s = k->train->at[epochs_at(&k->labelled, label + i)].tokens;
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
        int64_t q = epochs_at(&k->labelled, label + i);
        span relevant = k->train->at[q].relevant;
        add_question(k, &b, q);
        add_passage(
            k, &b,
            k->train->relevant[relevant.begin + rng_below(r, relevant.end - relevant.begin)]);
    }
    if (k->o.hard_negatives > 0) TRY(find_all_hard(k, label, n_labels));
    for (int64_t i = 0; i < n_labels && k->o.hard_negatives > 0; i++) {
        int64_t q = epochs_at(&k->labelled, label + i), n_hard = 0;
        while (n_hard < HARD_POOL && k->hard[q * HARD_POOL + n_hard] >= 0) n_hard++;
        for (int64_t j = 0; j < k->o.hard_negatives && n_hard > 0; j++)
            add_passage(k, &b, k->hard[q * HARD_POOL + rng_below(r, n_hard)]);
    }
    b.masked = arena_push(a, (size_t)(b.query.n * b.passage.n));
    par_range(n, 32, mask_rows, &(masking){k, &b});
    *out = b;
    return OK;
}
