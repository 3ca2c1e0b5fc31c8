#ifndef RAGLAN_TESTS_DATA_COLLECTION_H
#define RAGLAN_TESTS_DATA_COLLECTION_H
/* A collection out of a few strings: store, tokenizer, passages, corpus, in a folder of its own. */
#include <string.h>
#include <sys/stat.h>

#include "data/corpus.h"
#include "succeeds.h"
#include "temp.h"
#include "text/window.h"
#include "util/log.h"

typedef struct doc {
    const char *id, *title, *text;
} doc;

typedef struct collection {
    char *home;
    store *s;
    tokenizer *t;
    corpus *c;
} collection;

typedef struct doc_source {
    const doc *at;
    int n, i;
} doc_source;

/* Documents whose id begins with "unseen" are not in the tokenizer's training text. */
static inline status next_doc(void *arg, const char **text, size_t *n, bool *more) {
    doc_source *s = arg;
    while (s->i < s->n && !strncmp(s->at[s->i].id, "unseen", 6)) s->i++;
    *more = s->i < s->n;
    if (!*more) return OK;
    *text = s->at[s->i++].text;
    *n = strlen(*text);
    return OK;
}

static inline void cut_doc(collection *k, int64_t key, const doc *d, int64_t context) {
    tokens ids = {0};
    window_list windows = {0};
    size_t n = strlen(d->text);
    tokenizer_encode(k->t, d->text, n, &ids);
    window_options o = {.context_size = context};
    SUCCEEDS(window_check(&o));
    window_cut(&o, d->text, n, &ids, NULL, &windows);
    store_passage *p = xcalloc((size_t)windows.n + 1, sizeof *p);
    for (int64_t i = 0; i < windows.n; i++)
        p[i] = (store_passage){.ordinal = i,
                               .begin = windows.at[i].begin,
                               .end = windows.at[i].end,
                               .tokens = ids.id + windows.at[i].first,
                               .n_tokens = windows.at[i].n};
    SUCCEEDS(store_put_passages(k->s, key, p, windows.n));
    free(p);
    window_list_clear(&windows);
    tokens_clear(&ids);
}

/* vocab: pieces at most; about 330 leaves little more than single characters. */
static inline collection collection_new(const doc *d, int n_docs, const store_question *q,
                                        int n_questions, int64_t vocab, int64_t context) {
    static int made;
    char name[32];
    snprintf(name, sizeof name, "home%d", made++);
    collection k = {.home = xstrdup(temp_path(name))};
    SUCCEEDS(store_open(k.home, STORE_WRITE, &k.s));
    log_level_set(LOG_ERROR); /* a vocabulary larger than so little text allows is warned of */
    char *model = xasprintf("%s/tokenizer.model", k.home);
    tokenizer_options o = {.vocab_size = vocab};
    SUCCEEDS(tokenizer_train(&o, next_doc, &(doc_source){.at = d, .n = n_docs}, model));
    SUCCEEDS(tokenizer_open(model, &k.t));
    free(model);
    SUCCEEDS(store_begin(k.s));
    SUCCEEDS(store_cut_set(k.s, "cut"));
    for (int i = 0; i < n_docs; i++) {
        store_document sd = {
            .id = d[i].id, .title = d[i].title, .text = d[i].text, .text_bytes = strlen(d[i].text)};
        store_change change;
        int64_t key;
        SUCCEEDS(store_put_document(k.s, &sd, &change, &key));
        cut_doc(&k, key, &d[i], context);
    }
    for (int i = 0; i < n_questions; i++) {
        store_change change;
        SUCCEEDS(store_put_question(k.s, &q[i], &change, NULL));
    }
    SUCCEEDS(store_commit(k.s));
    SUCCEEDS(corpus_load(k.s, k.t, &k.c));
    return k;
}

static inline void collection_free(collection *k) {
    corpus_free(k->c);
    tokenizer_close(k->t);
    store_close(k->s);
    free(k->home);
}

static inline qa_set *questions_of(const collection *k, store_split split, int64_t limit) {
    qa_set *set = NULL;
    SUCCEEDS(qa_set_load(k->s, k->c, k->t, split, limit, &set));
    return set;
}

/* What tokens begin..end-1 of passage i say; the last four results stay valid. */
static inline const char *said(const collection *k, int64_t i, span s) {
    static char text[4][1024];
    static int next;
    buf b = {0};
    tokenizer_decode(k->t, k->c->tokens + k->c->text[i].begin + s.begin, s.end - s.begin, &b);
    snprintf(text[next % 4], sizeof text[0], "%s", b.at ? b.at : "");
    buf_clear(&b);
    return text[next++ % 4];
}
#endif
