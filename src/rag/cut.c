/* From documents to passages: the tokenizer is trained on the collection, then every document
 * that has no passages of the current cut is encoded and cut, many documents at a time on all
 * threads. */
#include <stdlib.h>
#include <string.h>

#include "rag/rag_int.h"
#include "util/log.h"
#include "util/par.h"
#include "util/stop.h"

/* ---- tokenizer ---- */

/* tokenizer_train pulls, the store pushes: texts are handed over one batch of documents at a time.
 */
typedef struct text_feed {
    rag *r;
    arena *a;
    char **text;
    size_t *bytes;
    int64_t n, at, cap, after;
    size_t batch_bytes;
    bool questions_done;
} text_feed;

enum { FEED_BYTES = 8 << 20 };

static void feed_add(text_feed *f, const char *text, size_t n) {
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 1024;
        f->text = xrealloc(f->text, (size_t)f->cap * sizeof *f->text);
        f->bytes = xrealloc(f->bytes, (size_t)f->cap * sizeof *f->bytes);
    }
    f->text[f->n] = arena_strndup(f->a, text, n);
    f->bytes[f->n++] = n;
    f->batch_bytes += n;
}

static status feed_document(void *arg, const store_document *d) {
    text_feed *f = arg;
    feed_add(f, d->title, strlen(d->title));
    feed_add(f, d->text, d->text_bytes);
    f->after = d->key;
    return f->batch_bytes > FEED_BYTES ? ERR_STATE : OK; /* enough: ends the loop */
}

static status feed_question(void *arg, const store_question *q) {
    feed_add(arg, q->question, strlen(q->question));
    return OK;
}

static status feed_more(text_feed *f) {
    arena_reset(f->a, 0);
    f->n = f->at = 0;
    f->batch_bytes = 0;
    status st = store_each_document(f->r->s, f->after, feed_document, f);
    if (st && f->batch_bytes > FEED_BYTES) st = OK;
    if (!st && f->n == 0 && !f->questions_done) {
        f->questions_done = true;
        st = store_each_question(f->r->s, SPLIT_TRAIN, feed_question, f);
    }
    return st;
}

static status feed_next(void *arg, const char **text, size_t *n, bool *more) {
    text_feed *f = arg;
    if (f->at == f->n) TRY(feed_more(f));
    *more = f->at < f->n;
    if (*more) {
        *text = f->text[f->at];
        *n = f->bytes[f->at++];
    }
    return OK;
}

status rag_train_tokenizer(rag *r, const tokenizer_options *o, bool again) {
    char *path = rag_path(r, HOME_TOKENIZER), *folder = rag_path(r, "tokenizer");
    status st = OK;
    if (again || !file_exists(path)) {
        store_counts n;
        st = store_count(r->s, &n);
        if (!st && n.documents == 0)
            st = err_set(ERR_STATE, __FILE__, __LINE__,
                         "%s holds no documents to train a tokenizer on: add some with `raglan "
                         "ingest --save_dir %s PATH`",
                         r->home, r->home_word);
        if (!st) st = file_make_folders(folder);
        if (!st) {
            double start = now_s();
            text_feed f = {.r = r, .a = arena_new(0)};
            st = tokenizer_train(o, feed_next, &f, path);
            arena_free(f.a);
            free(f.text);
            free(f.bytes);
            if (!st) log_info("trained the tokenizer in %.1f s: %s", now_s() - start, path);
        }
        if (!st) rag_forget_models(r);
    }
    free(path);
    free(folder);
    return st;
}

/* ---- passages ---- */

typedef struct cut_document {
    int64_t key;
    char *title, *text;
    size_t n_text;
    tokens pieces;
    window_list windows;
} cut_document;

enum { CUT_DOCUMENTS = 256, CUT_BYTES = 4 << 20 };

typedef struct cutter {
    rag *r;
    window_options o;
    arena *a; /* texts of the batch */
    cut_document *at;
    int64_t n;
    size_t bytes;
    store_passage *passage;
    int64_t cap;
    progress bar;
    int64_t done;
} cutter;

static void cut_one(void *arg, int64_t i, int worker) {
    (void)worker;
    cutter *k = arg;
    cut_document *d = &k->at[i];
    tokens_reset(&d->pieces);
    tokenizer_encode(k->r->t, d->text, d->n_text, &d->pieces);
    window_cut(&k->o, d->text, d->n_text, &d->pieces, NULL, &d->windows);
}

static status put_document(cutter *k, const cut_document *d) {
    int64_t n = d->windows.n;
    if (n > k->cap) {
        k->cap = 2 * n;
        k->passage = xrealloc(k->passage, (size_t)k->cap * sizeof *k->passage);
    }
    for (int64_t i = 0; i < n; i++) {
        const window *w = &d->windows.at[i];
        k->passage[i] = (store_passage){.ordinal = i,
                                        .begin = w->begin,
                                        .end = w->end,
                                        .tokens = d->pieces.id + w->first,
                                        .n_tokens = w->n};
    }
    return store_put_passages(k->r->s, d->key, k->passage, n);
}

static status cut_batch(cutter *k) {
    par_for(k->n, cut_one, k);
    TRY(store_begin(k->r->s));
    for (int64_t i = 0; i < k->n; i++) {
        status st = put_document(k, &k->at[i]);
        if (st) {
            store_rollback(k->r->s);
            return st;
        }
    }
    TRY(store_commit(k->r->s));
    k->done += k->n;
    progress_update(&k->bar, k->done);
    k->n = 0;
    k->bytes = 0;
    arena_reset(k->a, 0);
    return OK;
}

static status take_document(void *arg, const store_document *d) {
    cutter *k = arg;
    if (stop_requested()) FAIL(ERR_STOPPED, "stopped while cutting passages; what was cut is kept");
    cut_document *c = &k->at[k->n++];
    c->key = d->key;
    c->text = arena_strndup(k->a, d->text, d->text_bytes);
    c->n_text = d->text_bytes;
    k->bytes += d->text_bytes;
    return k->n == CUT_DOCUMENTS || k->bytes > CUT_BYTES ? ERR_STATE
                                                         : OK; /* a full batch ends the loop */
}

static status cut_all(cutter *k) {
    for (;;) {
        status st = store_each_uncut(k->r->s, take_document, k);
        bool is_full = k->n == CUT_DOCUMENTS || k->bytes > CUT_BYTES;
        if (st && !is_full) return st;
        if (k->n == 0) return OK;
        TRY(cut_batch(k));
        if (!is_full) return OK;
    }
}

/* The options in force: those named, else the collection's own, else the defaults. */
static status choose_cut(rag *r, const cut_options *o, window_options *out) {
    *out = (window_options){.context_size = o->context_size, .overlap = o->overlap};
    const char *line = store_cut(r->s);
    if (!o->given && *line) {
        json_t *j = NULL;
        TRY(json_parse(line, strlen(line), "the collection's cut", &j));
        out->context_size = json_int(j, "context_size", 64);
        out->overlap = json_int(j, "overlap", 0);
        json_decref(j);
    }
    return window_check(out);
}

status rag_cut(rag *r, const cut_options *o) {
    char *path = rag_path(r, HOME_TOKENIZER);
    bool has_tokenizer = file_exists(path);
    free(path);
    if (!has_tokenizer) TRY(rag_train_tokenizer(r, &(tokenizer_options){0}, false));
    TRY(rag_need_tokenizer(r));
    cutter k = {.r = r};
    TRY(choose_cut(r, o, &k.o));
    char *cut = window_describe(&k.o, tokenizer_hash(r->t));
    status st = strcmp(cut, store_cut(r->s)) ? store_cut_set(r->s, cut) : OK;
    free(cut);
    store_counts n;
    if (!st) st = store_count(r->s, &n);
    if (!st && n.stale > 0) {
        k.a = arena_new(0);
        k.at = xcalloc(CUT_DOCUMENTS, sizeof *k.at);
        progress_begin(&k.bar, "cutting passages", "documents", n.stale);
        st = cut_all(&k);
        progress_end(&k.bar);
        for (int i = 0; i < CUT_DOCUMENTS; i++) {
            tokens_clear(&k.at[i].pieces);
            window_list_clear(&k.at[i].windows);
        }
        free(k.at);
        free(k.passage);
        arena_free(k.a);
    }
    return st;
}
