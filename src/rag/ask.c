/* Searching and asking: from a question to hits, and to an answer with its sources. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rag/rag_int.h"
#include "util/log.h"
#include "util/unicode.h"

/* ---- search ---- */

static status mode_of(rag *r, rag_mode mode, search_mode *out) {
    finder f = rag_finder(r);
    *out = mode == RAG_BM25     ? SEARCH_BM25
           : mode == RAG_DENSE  ? SEARCH_DENSE
           : mode == RAG_HYBRID ? SEARCH_HYBRID
                                : finder_mode(&f);
    if (*out != SEARCH_BM25 && !f.m)
        FAIL(ERR_STATE,
             "%s has no vectors to search by: run `raglan train retriever --save_dir %s`, then "
             "`raglan index --save_dir %s`",
             r->home, r->home_word, r->home_word);
    return OK;
}

static status check_question(const char *question) {
    if (!question[strspn(question, " \t\r\n")])
        FAIL(ERR_ARG, "the question is empty, wanted some words");
    int64_t bad = utf8_invalid_at(question, strlen(question));
    if (bad >= 0) FAIL(ERR_ARG, "the question is not UTF-8: byte %ld is malformed", (long)bad);
    return OK;
}

/* Passages removed since the index was made are left out: the store is the truth. */
static status fill_hits(rag *r, arena *a, const hit *found, int64_t n, int64_t k, rag_hits *out) {
    out->at = arena_push(a, (size_t)(n + 1) * sizeof *out->at);
    out->n = 0;
    for (int64_t i = 0; i < n && out->n < k; i++) {
        store_hit h;
        bool is_there = false;
        TRY(store_get_hit(r->s, found[i].id, a, &h, &is_there));
        if (!is_there) continue;
        out->at[out->n] = (rag_hit){.rank = out->n + 1,
                                    .score = found[i].score,
                                    .passage = found[i].id,
                                    .document = h.id,
                                    .title = h.title,
                                    .uri = h.uri,
                                    .begin = h.passage.begin,
                                    .end = h.passage.end,
                                    .text = arena_strndup(a, h.text, h.text_bytes)};
        out->n++;
    }
    return OK;
}

static status find(rag *r, const char *question, rag_mode mode, int64_t k, arena *a,
                   rag_hits *out) {
    if (k < 1) FAIL(ERR_ARG, "top_k is %ld, wanted at least 1", (long)k);
    TRY(check_question(question));
    TRY(rag_need_index(r));
    search_mode sm;
    TRY(mode_of(r, mode, &sm));
    if (k > r->where.n) k = r->where.n > 0 ? r->where.n : 1; /* the whole collection at most */
    finder f = rag_finder(r);
    int64_t n_ids, n = 0;
    int32_t *ids = tokenizer_encode_ids(r->t, question, strlen(question), a, &n_ids);
    double start = now_s();
    for (int64_t fetch = k;; fetch *= 2) { /* until k of those found are still there */
        hit *found = ARENA_ARRAY(a, hit, fetch);
        TRY(finder_run(&f, question, ids, n_ids, sm, fetch, found, &n));
        TRY(fill_hits(r, a, found, n, k, out));
        if (out->n == k || n < fetch) break;
    }
    out->search_ms = 1e3 * (now_s() - start);
    out->mode = sm == SEARCH_BM25 ? RAG_BM25 : sm == SEARCH_DENSE ? RAG_DENSE : RAG_HYBRID;
    return OK;
}

int rag_search(rag *r, const char *question, rag_mode mode, int64_t k, rag_hits **out) {
    arena *a = arena_new(0);
    rag_hits *h = arena_push(a, sizeof *h);
    h->owner = a;
    status st = find(r, question, mode, k, a, h);
    if (st)
        arena_free(a);
    else
        *out = h;
    return st;
}

void rag_hits_free(rag_hits *h) {
    if (h) arena_free(h->owner);
}

/* ---- ask ---- */

/* Tokens become text as they come; the first one's time is noted. */
typedef struct stream {
    rag *r;
    token_stream tokens;
    buf text;
    const rag_ask_options *o;
    double start, first_ms;
} stream;

static void on_token(void *arg, int32_t id) {
    stream *s = arg;
    if (s->first_ms == 0) s->first_ms = 1e3 * (now_s() - s->start);
    buf_reset(&s->text);
    token_stream_add(s->r->t, &s->tokens, id, &s->text);
    if (s->o->on_text && s->text.len) s->o->on_text(s->o->arg, s->text.at, s->text.len);
}

/* The passages as the reader takes them: title and text as tokens. */
static status reader_input(rag *r, arena *a, const char *question, const rag_hits *hits,
                           reader_question *out) {
    out->ids = tokenizer_encode_ids(r->t, question, strlen(question), a, &out->n_ids);
    reader_passage *p = arena_push(a, (size_t)(hits->n + 1) * sizeof *p);
    for (int64_t i = 0; i < hits->n; i++) {
        store_passage sp;
        bool is_there = false;
        TRY(store_get_passage(r->s, hits->at[i].passage, a, &sp, &is_there));
        p[i].title = tokenizer_encode_ids(r->t, hits->at[i].title, strlen(hits->at[i].title), a,
                                          &p[i].n_title);
        if (!is_there) continue;
        p[i].ids = sp.tokens + sp.n_title;
        p[i].n_ids = sp.n_tokens - sp.n_title;
    }
    out->passages = p;
    out->n_passages = hits->n;
    return OK;
}

/* Sources in the order of their part in the answer; equal parts stay in search order. */
static void order_sources(rag_hits *h, const decoded *d) {
    for (int64_t i = 1; i < h->n; i++)
        for (int64_t j = i; j > 0; j--) {
            int64_t a = h->at[j - 1].rank - 1, b = h->at[j].rank - 1;
            if (d->passage_share[b] <= d->passage_share[a]) break;
            rag_hit t = h->at[j];
            h->at[j] = h->at[j - 1];
            h->at[j - 1] = t;
        }
    for (int64_t i = 0; i < h->n; i++) h->at[i].rank = i + 1;
}

static status answer(rag *r, const char *question, const rag_ask_options *o, arena *a,
                     rag_answer *out) {
    stream s = {.r = r, .o = o, .start = now_s()};
    const backend *be;
    TRY(backend_precise((precision)o->precision, &be));
    TRY(rag_need_generator(r));
    out->sources = arena_push(a, sizeof *out->sources);
    TRY(find(r, question, o->mode, o->top_k > 0 ? o->top_k : READER_PASSAGES, a, out->sources));
    reader_question q = {0};
    TRY(reader_input(r, a, question, out->sources, &q));
    decode_options d = {.may_place = r->g->c.spans && o->temperature <= 0 && o->beams <= 1,
                        .max_tokens = o->max_tokens,
                        .n_beams = o->beams,
                        .temperature = (float)o->temperature,
                        .sample_top_k = o->sample_top_k,
                        .seed = o->seed,
                        .be = be,
                        .on_token = on_token,
                        .arg = &s};
    const decoded *got = generator_decode(r->g, a, &r->traits, &q, 1, &d);
    buf text = {0};
    tokenizer_decode(r->t, got->ids, got->n, &text);
    out->text = arena_strdup(a, text.at ? text.at : "");
    out->confidence = exp(got->log_prob);
    out->is_cut = got->is_cut;
    out->total_ms = 1e3 * (now_s() - s.start);
    out->first_token_ms = s.first_ms > 0 ? s.first_ms : out->total_ms;
    if (o->on_text && o->beams > 1 && text.len) o->on_text(o->arg, text.at, text.len);
    order_sources(out->sources, got);
    buf_clear(&text);
    buf_clear(&s.text);
    return OK;
}

int rag_ask(rag *r, const char *question, const rag_ask_options *options, rag_answer **out) {
    rag_ask_options o = options ? *options : (rag_ask_options){0};
    arena *a = arena_new(0);
    rag_answer *x = arena_push(a, sizeof *x);
    x->owner = a;
    status st = answer(r, question, &o, a, x);
    if (st)
        arena_free(a);
    else
        *out = x;
    return st;
}

void rag_answer_free(rag_answer *a) {
    if (a) arena_free(a->owner);
}

/* ---- embed ---- */

static status need_retriever(rag *r) {
    bool has = false;
    TRY(rag_need_retriever(r, &has));
    if (!has)
        FAIL(ERR_STATE, "%s has no retriever yet: run `raglan train retriever --save_dir %s`",
             r->home, r->home_word);
    return OK;
}

int rag_embedding_dim(rag *r, int64_t *dim) {
    TRY(need_retriever(r));
    *dim = r->m->c.embedding_dim;
    return OK;
}

int rag_embed(rag *r, const char *const *texts, int64_t n, bool as_question, float *out) {
    TRY(need_retriever(r));
    tokens ids = {0};
    span *at = xmalloc((size_t)(n + 1) * sizeof *at);
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = ids.n;
        tokenizer_encode(r->reads ? r->reads : r->t, texts[i], strlen(texts[i]), &ids);
        at[i] = (span){begin, ids.n};
    }
    embed_texts(r->m, ids.id, at, n, as_question ? TEXT_QUESTION : TEXT_PASSAGE, out);
    tokens_clear(&ids);
    free(at);
    return OK;
}
