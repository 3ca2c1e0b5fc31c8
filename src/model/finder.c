/* Questions to passages, one at a time or a whole set on all threads; passages to a reader's
 * input. */
#include "model/finder.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/par.h"
#include "util/stop.h"
#include "util/unicode.h"

/* ---- search ---- */

search_mode finder_mode(const finder *f) {
    return f->m && search_flat(f->index) && flat_count(search_flat(f->index)) > 0 ? SEARCH_HYBRID
                                                                                  : SEARCH_BM25;
}

passage_source finder_passages(const corpus *c) {
    return (passage_source){corpus_neighbours, corpus_tokens, (void *)(uintptr_t)c};
}

search_options finder_options(const finder *f, search_mode mode, int64_t k, const int32_t *ids,
                              int64_t n_ids, near_question *near) {
    search_options o = search_defaults(f->index, mode, k);
    o.passages = f->passages;
    if (!f->m || !f->m->token_weight || f->reads) return o;
    near->n = 0;
    for (int64_t i = 0; i < n_ids; i++)
        near_add(near, ids[i], f->m->token_weight->v[2 * ids[i] + TEXT_QUESTION]);
    o.near = near;
    return o;
}

void finder_embed(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                  float *out) {
    tokens own = {0};
    if (f->reads) {
        tokenizer_encode(f->reads, question, strlen(question), &own);
        ids = own.id;
        n_ids = own.n;
    }
    embed_texts(f->m, ids, &(span){0, n_ids}, 1, TEXT_QUESTION, out);
    tokens_clear(&own);
}

void finder_embed_set(const finder *f, const qa_set *set, int64_t first, int64_t n, float *out) {
    span *texts = xmalloc((size_t)(n + 1) * sizeof *texts);
    tokens own = {0};
    for (int64_t i = 0; i < n; i++) {
        const qa *q = &set->at[first + i];
        texts[i] = q->tokens;
        if (!f->reads) continue;
        int64_t begin = own.n;
        tokenizer_encode(f->reads, q->question, strlen(q->question), &own);
        texts[i] = (span){begin, own.n};
    }
    embed_texts(f->m, f->reads ? own.id : set->tokens, texts, n, TEXT_QUESTION, out);
    tokens_clear(&own);
    free(texts);
}

status finder_search(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                     const float *vector, search_mode mode, int64_t k, hit *hits, int64_t *n_hits) {
    near_question near;
    search_options o = finder_options(f, mode, k, ids, n_ids, &near);
    *n_hits = 0;
    if (n_ids == 0) return OK;
    return search_run(f->index, question, strlen(question), vector, &o, hits, n_hits);
}

status finder_run(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                  search_mode mode, int64_t k, hit *hits, int64_t *n_hits) {
    float *vector = NULL;
    if (mode != SEARCH_BM25 && f->m && n_ids > 0) {
        vector = xmalloc((size_t)f->m->c.embedding_dim * sizeof *vector);
        finder_embed(f, question, ids, n_ids, vector);
    }
    status st = finder_search(f, question, ids, n_ids, vector, mode, k, hits, n_hits);
    free(vector);
    return st;
}

/* ---- a whole set ---- */

typedef struct set_search {
    finder f;
    const corpus *c;
    const qa_set *set;
    search_mode mode;
    int64_t k, first;
    const float *embedded; /* [n, E] of questions first.. */
    hit *hits;             /* [n, k] */
    int64_t *n_hits;       /* [n] */
    status *result;        /* [n] */
    int64_t *out;
} set_search;

static void search_one(void *arg, int64_t i, int worker) {
    (void)worker;
    set_search *s = arg;
    int64_t q = s->first + i;
    const qa *x = &s->set->at[q];
    hit *hits = s->hits + i * s->k;
    s->result[i] = finder_search(&s->f, x->question, s->set->tokens + x->tokens.begin,
                                 x->tokens.end - x->tokens.begin,
                                 s->embedded ? s->embedded + i * s->f.m->c.embedding_dim : NULL,
                                 s->mode, s->k, hits, &s->n_hits[i]);
    int64_t n = 0;
    for (int64_t j = 0; j < s->n_hits[i]; j++) {
        int64_t p = corpus_find(s->c, hits[j].id);
        if (p >= 0) s->out[q * s->k + n++] = p;
    }
    while (n < s->k) s->out[q * s->k + n++] = -1;
}

enum { SET_BATCH = 256 };

static status search_batch(set_search *s, int64_t n) {
    int64_t e = s->f.m ? s->f.m->c.embedding_dim : 0;
    float *rows = NULL;
    if (s->mode != SEARCH_BM25 && s->f.m) {
        rows = xmalloc((size_t)(n * e) * sizeof *rows);
        finder_embed_set(&s->f, s->set, s->first, n, rows);
    }
    s->embedded = rows;
    par_for(n, search_one, s);
    status st = OK;
    for (int64_t i = 0; i < n && !st; i++) {
        if (s->result[i]) search_one(s, i, 0); /* the sentence was another thread's: say it here */
        st = s->result[i];
    }
    free(rows);
    return st;
}

status finder_run_all(const finder *f, const corpus *c, const qa_set *set, search_mode mode,
                      int64_t k, const char *label, top_passages *out) {
    set_search s = {.f = *f, .c = c, .set = set, .mode = mode, .k = k};
    s.f.passages = finder_passages(c);
    s.out = xmalloc((size_t)(set->n * k + 1) * sizeof *s.out);
    s.hits = xmalloc((size_t)(SET_BATCH * k) * sizeof *s.hits);
    s.n_hits = xmalloc(SET_BATCH * sizeof *s.n_hits);
    s.result = xmalloc(SET_BATCH * sizeof *s.result);
    progress p;
    progress_begin(&p, label, "questions", set->n);
    status st = OK;
    for (s.first = 0; s.first < set->n && !st; s.first += SET_BATCH) {
        int64_t n = set->n - s.first < SET_BATCH ? set->n - s.first : SET_BATCH;
        st = search_batch(&s, n);
        progress_update(&p, s.first + n);
        if (!st && stop_requested())
            st = err_set(ERR_STOPPED, __FILE__, __LINE__, "stopped while %s", label);
    }
    progress_end(&p);
    free(s.hits);
    free(s.n_hits);
    free(s.result);
    if (st)
        free(s.out);
    else
        *out = (top_passages){s.out, k};
    return st;
}

/* ---- readers ---- */

/* The id whose piece is the lower-case form of this one. */
static int32_t folded(const tokenizer *t, int32_t id, buf *lower) {
    if (!(tokenizer_flags(t, id) & PIECE_CAPITAL)) return id;
    const char *piece = tokenizer_piece(t, id);
    buf_reset(lower);
    utf8_add_lower(lower, piece, strlen(piece));
    int32_t found = tokenizer_find(t, lower->at);
    return found < 0 ? id : found;
}

token_traits traits_of(const tokenizer *t, arena *a) {
    int64_t n = tokenizer_size(t);
    uint8_t *bits = ARENA_ARRAY(a, uint8_t, n);
    int32_t *fold = ARENA_ARRAY(a, int32_t, n);
    buf lower = {0};
    for (int32_t id = 0; id < n; id++) {
        uint8_t f = tokenizer_flags(t, id);
        bits[id] = (uint8_t)((f & PIECE_DIGIT ? TRAIT_DIGIT : 0) |
                             (f & PIECE_CAPITAL ? TRAIT_CAPITAL : 0) |
                             (f & PIECE_WORD ? TRAIT_WORD_START : 0));
        fold[id] = folded(t, id, &lower);
    }
    buf_clear(&lower);
    return (token_traits){
        .vocab = n, .bits = bits, .fold = fold, .bos = TOKEN_BOS, .eos = TOKEN_EOS};
}

reader_passage *reader_passages_of(arena *a, const corpus *c, const int64_t *passages, int64_t n) {
    reader_passage *p = arena_push(a, (size_t)(n + 1) * sizeof *p);
    for (int64_t i = 0; i < n; i++) {
        span title = c->title[passages[i]], text = c->text[passages[i]];
        p[i] = (reader_passage){.title = c->tokens + title.begin,
                                .n_title = title.end - title.begin,
                                .ids = c->tokens + text.begin,
                                .n_ids = text.end - text.begin};
    }
    return p;
}

reader_question reader_question_of(arena *a, const corpus *c, const qa_set *set, int64_t q,
                                   const int64_t *passages, int64_t n) {
    const qa *x = &set->at[q];
    return (reader_question){.ids = set->tokens + x->tokens.begin,
                             .n_ids = x->tokens.end - x->tokens.begin,
                             .passages = reader_passages_of(a, c, passages, n),
                             .n_passages = n};
}
