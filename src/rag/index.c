/* Indexing: bring the search files up to date with the store, touching only what is new.
 *
 *   passages   cut where missing or stale (cut.c)
 *   lexical    one new segment of the passages behind the last one indexed
 *   vectors    the same, with the best retriever; the writer resumes after a kill
 *   deleted    ids that segments hold and the store does not
 *   fusion     weights tuned on the dev questions
 *
 * The manifest is written once at the end: until then readers see the old index, whole.
 * Memory: one batch of passages, titles of all documents, and what the builders state. */
#include <stdlib.h>
#include <string.h>

#include "rag/rag_int.h"
#include "util/log.h"
#include "util/stop.h"

enum { MAX_SEGMENTS = 8, EMBED_BATCH = 512 };

/* ---- titles ---- */

typedef struct titles {
    int64_t n, cap;
    int64_t *key;
    char **title;
    arena *a;
} titles;

static status add_title(void *arg, const store_document *d) {
    titles *t = arg;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->key = xrealloc(t->key, (size_t)t->cap * sizeof *t->key);
        t->title = xrealloc(t->title, (size_t)t->cap * sizeof *t->title);
    }
    t->key[t->n] = d->key;
    t->title[t->n++] = arena_strdup(t->a, d->title);
    return OK;
}

static const char *title_of(const titles *t, int64_t document) {
    int64_t at = id_find(t->key, t->n, document);
    return at < 0 ? "" : t->title[at];
}

static void titles_clear(titles *t) {
    free(t->key);
    free(t->title);
    arena_free(t->a);
}

/* ---- the job ---- */

typedef struct indexer {
    rag *r;
    char *folder;
    manifest m;
    titles titles;
    int64_t n_passages;
    bool changed;
    progress bar;
    int64_t done;
    /* lexical */
    lexical_builder *builder;
    buf text;
    /* vectors */
    vectors_writer *writer;
    int64_t id[EMBED_BATCH];
    span at[EMBED_BATCH];
    int64_t n;
    int32_t *ids;
    int64_t n_ids, cap;
    tokens scratch;
    float *rows;
} indexer;

static status stopping(void) {
    if (stop_requested())
        FAIL(ERR_STOPPED, "stopped while indexing; the next `raglan index` goes on from here");
    return OK;
}

/* Marks ids begin..end-1 as deleted: the store has no such passage. */
static void note_gap(indexer *x, int64_t begin, int64_t end, int64_t last) {
    int64_t gone[1024], n = 0;
    if (end > last + 1) end = last + 1;
    for (int64_t id = begin; id < end; id++) {
        gone[n++] = id;
        if (n == 1024 || id + 1 == end) {
            int64_t before = x->m.n_deleted;
            manifest_delete(&x->m, gone, n);
            x->changed |= x->m.n_deleted != before;
            n = 0;
        }
    }
}

static int64_t last_indexed(const indexer *x) {
    int64_t a = manifest_last_lexical(&x->m), b = manifest_last_vector(&x->m);
    return a > b ? a : b;
}

/* Does the store have every id that these segments, up to `last`, hold? */
static bool are_all_there(const indexer *x, const manifest_segment *s, int n, int64_t last) {
    int64_t held = 0, there = 0;
    for (int i = 0; i < n; i++) held += s[i].n;
    while (there < x->r->where.n && x->r->where.id[there] <= last) there++;
    return held == there;
}

/* What merged segments lack already is a gap in their range, and nothing to note again. */
static void note_deleted(indexer *x) {
    const manifest *m = &x->m;
    if (are_all_there(x, m->lexical, m->n_lexical, manifest_last_lexical(m)) &&
        are_all_there(x, m->vectors, m->n_vectors, manifest_last_vector(m)))
        return;
    int64_t last = last_indexed(x), next = 0;
    const places *p = &x->r->where;
    for (int64_t i = 0; i < p->n && next <= last; i++) {
        note_gap(x, next, p->id[i], last);
        next = p->id[i] + 1;
    }
    note_gap(x, next, last + 1, last);
}

static void drop_other_cut(indexer *x) {
    char hash[41];
    rag_cut_hash(x->r, hash);
    if (strcmp(x->m.cut, hash) == 0) return;
    manifest_drop_lexical(&x->m);
    manifest_drop_vectors(&x->m);
    free(x->m.deleted);
    x->m.deleted = NULL;
    x->m.n_deleted = 0;
    memcpy(x->m.cut, hash, sizeof hash);
    x->changed = true;
}

/* ---- lexical ---- */

static status add_words(void *arg, const store_passage *p) {
    indexer *x = arg;
    TRY(stopping());
    buf_reset(&x->text);
    tokens_text(x->r->t, p->tokens + p->n_title, p->n_tokens - p->n_title, &x->text, NULL);
    const char *title = title_of(&x->titles, p->document);
    progress_update(&x->bar, ++x->done);
    return lexical_builder_add(x->builder, p->id, title, strlen(title),
                               x->text.at ? x->text.at : "", x->text.len);
}

static int64_t passages_after(const indexer *x, int64_t id) {
    const places *p = &x->r->where;
    int64_t lo = 0, hi = p->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (p->id[mid] <= id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return p->n - lo;
}

static status index_words(indexer *x) {
    int64_t after = manifest_last_lexical(&x->m), n = passages_after(x, after < 0 ? 0 : after);
    if (n == 0) return OK;
    TRY(lexical_builder_open(x->folder, NULL, &x->builder));
    progress_begin(&x->bar, "indexing words", "passages", n);
    x->done = 0;
    status st = store_each_passage(x->r->s, after < 0 ? 0 : after, add_words, x);
    char name[SEGMENT_NAME];
    if (!st) st = lexical_builder_finish(x->builder, name);
    progress_end(&x->bar);
    lexical_builder_close(x->builder);
    x->builder = NULL;
    if (!st) st = manifest_add_lexical(x->folder, &x->m, name);
    x->changed = true;
    return st;
}

/* ---- vectors ---- */

static status flush_vectors(indexer *x) {
    if (x->n == 0) return OK;
    embed_texts(x->r->m, x->ids, x->at, x->n, TEXT_PASSAGE, x->rows);
    status st = vectors_writer_add(x->writer, x->id, x->rows, x->n);
    x->done += x->n;
    progress_update(&x->bar, x->done);
    x->n = x->n_ids = 0;
    return st;
}

static void put_ids(indexer *x, const int32_t *ids, int64_t n) {
    while (x->n_ids + n > x->cap) {
        x->cap = x->cap ? 2 * x->cap : 65536;
        x->ids = xrealloc(x->ids, (size_t)x->cap * sizeof *x->ids);
    }
    if (n) memcpy(x->ids + x->n_ids, ids, (size_t)n * sizeof *ids);
    x->n_ids += n;
}

/* A passage in the tokens of a retriever that reads its own. */
static void put_own_ids(indexer *x, const tokenizer *own, const store_passage *p) {
    buf_reset(&x->text);
    tokens_reset(&x->scratch);
    tokens_text(x->r->t, p->tokens + p->n_title, p->n_tokens - p->n_title, &x->text, NULL);
    if (x->text.len) tokenizer_encode(own, x->text.at, x->text.len, &x->scratch);
    put_ids(x, x->scratch.id, x->scratch.n);
}

static status add_vector(void *arg, const store_passage *p) {
    indexer *x = arg;
    TRY(stopping());
    int64_t begin = x->n_ids;
    const tokenizer *own = x->r->reads;
    if (x->r->m->c.title) {
        const char *title = title_of(&x->titles, p->document);
        tokens_reset(&x->scratch);
        tokenizer_encode(own ? own : x->r->t, title, strlen(title), &x->scratch);
        put_ids(x, x->scratch.id, x->scratch.n < EMBED_TITLE_MAX ? x->scratch.n : EMBED_TITLE_MAX);
    }
    if (own)
        put_own_ids(x, own, p);
    else
        put_ids(x, p->tokens + p->n_title, p->n_tokens - p->n_title);
    x->id[x->n] = p->id;
    x->at[x->n++] = (span){begin, x->n_ids};
    return x->n == EMBED_BATCH ? flush_vectors(x) : OK;
}

static status write_vectors(indexer *x, const vectors_key *key) {
    int64_t after = manifest_last_vector(&x->m);
    if (passages_after(x, after < 0 ? 0 : after) == 0) return OK;
    TRY(vectors_writer_open(x->folder, key, &x->writer));
    if (vectors_writer_last_id(x->writer) > after) after = vectors_writer_last_id(x->writer);
    if (after < 0) after = 0;
    int64_t n = passages_after(x, after);
    char name[SEGMENT_NAME];
    x->rows = xmalloc((size_t)(EMBED_BATCH * key->dim) * sizeof *x->rows);
    progress_begin(&x->bar, "embedding passages", "passages", n);
    x->done = x->n = x->n_ids = 0;
    status st = store_each_passage(x->r->s, after, add_vector, x);
    if (!st) st = flush_vectors(x);
    progress_end(&x->bar);
    if (!st) st = vectors_writer_finish(x->writer, name);
    if (!st) st = manifest_add_vectors(x->folder, &x->m, name);
    x->changed = true;
    vectors_writer_close(x->writer);
    x->writer = NULL;
    return st;
}

static status index_vectors(indexer *x) {
    bool has = false;
    TRY(rag_need_retriever(x->r, &has));
    if (!has) {
        x->changed |= x->m.n_vectors > 0;
        manifest_drop_vectors(&x->m);
        return OK;
    }
    vectors_key key = {.dim = x->r->m->c.embedding_dim};
    memcpy(key.model, x->r->m_checkpoint.identifier, sizeof x->r->m_checkpoint.identifier);
    memcpy(key.tokenizer, tokenizer_hash(x->r->reads ? x->r->reads : x->r->t), 41);
    if (x->m.n_vectors > 0 && !vectors_key_equal(&key, &x->m.key)) {
        manifest_drop_vectors(&x->m);
        x->changed = true;
    }
    return write_vectors(x, &key);
}

/* ---- fusion ---- */

enum { TUNE_QUESTIONS = 1000 };

static void set_relevant(const corpus *c, const qa_set *dev, const qa *q, fusion_pool *pool,
                         uint8_t *relevant) {
    for (int64_t i = 0; i < pool->n; i++) {
        int64_t p = corpus_find(c, pool->c[i].id);
        relevant[i] = p >= 0 && qa_is_relevant(dev, q, p);
    }
    pool->relevant = relevant;
}

static status tune_on(indexer *x, const corpus *c, const qa_set *dev) {
    search *s = NULL;
    TRY(search_open(x->folder, &x->m.key, &s));
    finder f = {s, x->r->m, finder_passages(c), x->r->reads};
    fusion_pool *pools = xcalloc((size_t)dev->n + 1, sizeof *pools);
    float *vector = xmalloc((size_t)x->m.key.dim * sizeof *vector);
    int64_t n = 0;
    status st = OK;
    for (int64_t i = 0; i < dev->n && !st; i++) {
        const qa *q = &dev->at[i];
        if (q->relevant.end == q->relevant.begin) continue;
        finder_embed_set(&f, dev, i, 1, vector);
        near_question near;
        search_options o = finder_options(&f, SEARCH_HYBRID, 10, dev->tokens + q->tokens.begin,
                                          q->tokens.end - q->tokens.begin, &near);
        st = search_pool(s, q->question, strlen(q->question), vector, &o, &pools[n]);
        if (st) break;
        set_relevant(c, dev, q, &pools[n], xmalloc((size_t)pools[n].n + 1));
        n++;
        if (!st) st = stopping();
    }
    fusion_tuning t;
    if (!st && n > 0) {
        x->m.fuse.lambda = fusion_default.lambda; /* not what other vectors were tuned to */
        x->m.fuse.share = fusion_default.share;
        fusion_tune(pools, n, &x->m.fuse, &t);
        x->m.is_tuned = true;
        log_info("fusion tuned on %ld dev question%s: dense weight %.2f, neighbour share %.2f, "
                 "MRR@10 %.3f (BM25 %.3f, "
                 "dense %.3f)",
                 (long)n, plural(n), x->m.fuse.lambda, x->m.fuse.share, t.mrr, t.mrr_bm25,
                 t.mrr_dense);
    }
    for (int64_t i = 0; i < n; i++) {
        free((void *)pools[i].relevant);
        search_pool_clear(&pools[i]);
    }
    free(pools);
    free(vector);
    search_close(s);
    return st;
}

/* Weights belong to the vectors and the questions they were tuned on. */
static status tune(indexer *x) {
    store_counts n;
    TRY(store_count(x->r->s, &n));
    if (x->m.n_vectors == 0 || n.served[SPLIT_DEV] == 0) return OK;
    corpus *c = NULL;
    qa_set *dev = NULL;
    TRY(corpus_load(x->r->s, x->r->t, &c));
    status st = qa_set_load(x->r->s, c, x->r->t, SPLIT_DEV, TUNE_QUESTIONS, &dev);
    if (!st) st = tune_on(x, c, dev);
    qa_set_free(dev);
    corpus_free(c);
    return st;
}

/* ---- all of it ---- */

static status write_manifest(indexer *x) {
    if (!x->changed) return OK;
    TRY(manifest_write(x->folder, &x->m));
    bool many = x->m.n_lexical > MAX_SEGMENTS || x->m.n_vectors > MAX_SEGMENTS;
    if (many || 4 * x->m.n_deleted > x->r->where.n) TRY(manifest_compact(x->folder, &x->m));
    return manifest_sweep(x->folder, &x->m);
}

static status run(indexer *x, bool with_vectors) {
    rag *r = x->r;
    store_counts n;
    TRY(store_count(r->s, &n));
    TRY(manifest_read(x->folder, &x->m));
    if (n.documents == 0 && x->m.generation == 0)
        FAIL(ERR_STATE,
             "%s holds no documents to index: add some with `raglan ingest --save_dir %s PATH`",
             r->home, r->home_word);
    TRY(rag_cut(r, &(cut_options){0}));
    TRY(file_make_folders(x->folder));
    TRY(rag_load_places(r));
    drop_other_cut(x);
    x->titles.a = arena_new(0);
    TRY(store_each_document(r->s, 0, add_title, &x->titles));
    TRY(index_words(x));
    if (with_vectors) TRY(index_vectors(x));
    note_deleted(x);              /* last: a resumed part file may hold what was removed since */
    x->m.is_tuned &= !x->changed; /* killed before it is tuned: the next run does it */
    TRY(write_manifest(x));
    if (!with_vectors || x->m.is_tuned) return OK;
    TRY(tune(x));
    return x->m.is_tuned ? manifest_write(x->folder, &x->m) : OK;
}

static status index_parts(rag *r, bool with_vectors) {
    indexer x = {.r = r, .folder = rag_path(r, "index")};
    manifest_init(&x.m);
    rag_forget_index(r);
    status st = run(&x, with_vectors);
    rag_forget_index(r);
    manifest_clear(&x.m);
    titles_clear(&x.titles);
    tokens_clear(&x.scratch);
    buf_clear(&x.text);
    free(x.ids);
    free(x.rows);
    free(x.folder);
    return st;
}

status rag_index_lexical(rag *r) {
    return index_parts(r, false);
}

status rag_index_all(rag *r) {
    return index_parts(r, true);
}

int rag_index(rag *r) {
    return rag_index_all(r);
}
