/* An open collection: its parts are opened when a call first needs them. */
#include <stdlib.h>
#include <string.h>

#include "rag/rag_int.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/par.h"
#include "util/shell.h"

const char *rag_error(void) {
    return err_msg();
}

const char *rag_version(void) {
    return RAGLAN_VERSION;
}

char *rag_path(const rag *r, const char *below) {
    return xasprintf("%s/%s", r->home, below);
}

int rag_open(const char *home, const rag_options *options, rag **out) {
    rag *r = xcalloc(1, sizeof *r);
    r->home = xstrdup(home);
    r->home_word = shell_word(home);
    if (options) r->o = *options;
    if (r->o.threads > 0) par_threads_set(r->o.threads);
    status st = store_open(home, r->o.write ? STORE_WRITE : STORE_READ, &r->s);
    if (st) {
        rag_close(r);
        return st;
    }
    *out = r;
    return OK;
}

void rag_forget_index(rag *r) {
    search_close(r->index);
    r->index = NULL;
    free(r->where.id);
    free(r->where.document);
    r->where = (places){0};
}

void rag_forget_models(rag *r) {
    rag_forget_index(r);
    retriever_free(r->m);
    generator_free(r->g);
    checkpoint_clear(&r->m_checkpoint);
    checkpoint_clear(&r->g_checkpoint);
    r->m = NULL;
    r->g = NULL;
    r->sought_retriever = r->has_retriever = false;
    tokenizer_close(r->t);
    tokenizer_close(r->reads);
    arena_free(r->traits_arena);
    arena_free(r->looked_at);
    r->t = r->reads = NULL;
    r->traits_arena = NULL;
}

void rag_close(rag *r) {
    if (!r) return;
    rag_forget_models(r);
    store_close(r->s);
    free(r->home);
    free(r->home_word);
    free(r);
}

/* ---- parts ---- */

status rag_need_tokenizer(rag *r) {
    if (r->t) return OK;
    char *path = rag_path(r, HOME_TOKENIZER);
    status st = file_exists(path)
                    ? tokenizer_open(path, &r->t)
                    : err_set(ERR_STATE, __FILE__, __LINE__,
                              "%s has no tokenizer yet: run `raglan train tokenizer --save_dir %s`",
                              r->home, r->home_word);
    free(path);
    if (st) return st;
    r->traits_arena = arena_new(0);
    r->traits = traits_of(r->t, r->traits_arena);
    return OK;
}

/* A checkpoint belongs to the tokenizer it was trained with. */
static status check_tokenizer(const rag *r, const checkpoint *c) {
    const char *of = checkpoint_tokenizer(c);
    if (*of && strcmp(of, tokenizer_hash(r->t)))
        FAIL(ERR_STATE,
             "%s %.12s was trained with tokenizer %.12s, this collection has %.12s: run `raglan "
             "train %s --new_model "
             "--save_dir %s`",
             c->type, c->identifier, of, tokenizer_hash(r->t), c->type, r->home_word);
    return OK;
}

static char *reads_path(const rag *r, const char *hash) {
    return xasprintf("%s/tokenizer/%s.json", r->home, hash);
}

/* The tokenizer that came with an imported retriever. */
static status open_reads(rag *r, const char *path, const checkpoint *c) {
    tokenizer *t = NULL;
    if (!file_exists(path))
        FAIL(ERR_STATE,
             "%s: the tokenizer of retriever %.12s is not there; put it back from a copy, or run "
             "`raglan import hf DIR --save_dir %s` again",
             path, c->identifier, r->home_word);
    TRY(tokenizer_open(path, &t));
    if (strcmp(checkpoint_tokenizer(c), tokenizer_hash(t))) {
        status st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                            "%s: damaged: its bytes hash to %s; put it back from a copy, or run "
                            "`raglan import hf DIR --save_dir %s` again",
                            path, tokenizer_hash(t), r->home_word);
        tokenizer_close(t);
        return st;
    }
    r->reads = t;
    return OK;
}

status rag_need_reads(rag *r, const checkpoint *c) {
    tokenizer_close(r->reads);
    r->reads = NULL;
    const json_t *config = json_object_get(c->meta, "config");
    if (!strcmp(json_str(config, "architecture", ""), "bert")) {
        char *path = reads_path(r, checkpoint_tokenizer(c));
        status st = open_reads(r, path, c);
        free(path);
        return st;
    }
    TRY(rag_need_tokenizer(r));
    return check_tokenizer(r, c);
}

bool rag_knows_tokenizer(rag *r, const char *hash) {
    char *path = reads_path(r, hash);
    bool known = file_exists(path) || (r->t && !strcmp(hash, tokenizer_hash(r->t)));
    free(path);
    return known;
}

/* The best checkpoint of a type, or the one named: `make` builds the model that it is of, whose
 * parameters are then mapped. OK with an empty checkpoint where there is none. */
static status load_model(rag *r, const char *type, const char *identifier,
                         status (*make)(rag *r, const checkpoint *c, params **p), checkpoint *out) {
    checkpoint c = {0};
    params *p = NULL;
    TRY(checkpoint_find(r->home, type, identifier, CHECKPOINT_BEST, &c));
    status st = OK;
    if (c.identifier[0]) {
        st = make(r, &c, &p);
        if (!st) st = checkpoint_map(r->home, &c, p);
    }
    if (st)
        checkpoint_clear(&c);
    else
        *out = c;
    return st;
}

/* A training run beside us may remove a checkpoint between its being found and its being read:
 * then there is a newer one, and that is taken. */
static status retry_while_replaced(status (*load)(rag *r), rag *r) {
    status st = load(r);
    for (int i = 0; st == ERR_BUSY && i < 100; i++) {
        err_clear();
        st = load(r);
    }
    return st;
}

static status make_retriever(rag *r, const checkpoint *c, params **p) {
    retriever_config config;
    TRY(rag_need_reads(r, c));
    TRY(retriever_config_read(json_object_get(c->meta, "config"), &config));
    r->m = retriever_new(&config, NULL, PARAMS_BLANK, false);
    if (!r->m) return ERR_MEM;
    *p = r->m->p;
    return OK;
}

static status load_retriever(rag *r) {
    status st = load_model(r, "retriever", r->o.retriever, make_retriever, &r->m_checkpoint);
    if (st) {
        retriever_free(r->m);
        r->m = NULL;
        return st;
    }
    r->sought_retriever = true;
    r->has_retriever = r->m != NULL;
    return OK;
}

status rag_need_retriever(rag *r, bool *has) {
    if (!r->sought_retriever) TRY(retry_while_replaced(load_retriever, r));
    if (has) *has = r->has_retriever;
    return OK;
}

static status make_generator(rag *r, const checkpoint *c, params **p) {
    generator_config config;
    TRY(rag_need_tokenizer(r));
    TRY(check_tokenizer(r, c));
    TRY(generator_config_read(json_object_get(c->meta, "config"), &config));
    r->g = generator_new(&config, PARAMS_BLANK, false);
    if (!r->g) return ERR_MEM;
    r->g->empty_bias = (float)json_num(json_object_get(c->meta, "dev"), "empty_bias", 0);
    *p = r->g->p;
    return OK;
}

static status load_generator(rag *r) {
    status st = load_model(r, "generator", r->o.generator, make_generator, &r->g_checkpoint);
    if (st) {
        generator_free(r->g);
        r->g = NULL;
        return st;
    }
    if (!r->g)
        FAIL(ERR_STATE, "%s has no generator yet: run `raglan train generator --save_dir %s`",
             r->home, r->home_word);
    return OK;
}

status rag_need_generator(rag *r) {
    return r->g ? OK : retry_while_replaced(load_generator, r);
}

/* ---- the index ---- */

typedef struct place_loader {
    places *p;
    int64_t cap;
} place_loader;

static status add_place(void *arg, const store_passage *p) {
    place_loader *l = arg;
    if (l->p->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 4096;
        l->p->id = xrealloc(l->p->id, (size_t)l->cap * sizeof *l->p->id);
        l->p->document = xrealloc(l->p->document, (size_t)l->cap * sizeof *l->p->document);
    }
    l->p->id[l->p->n] = p->id;
    l->p->document[l->p->n++] = p->document;
    return OK;
}

status rag_load_places(rag *r) {
    return store_each_passage(r->s, 0, add_place, &(place_loader){&r->where, 0});
}

/* Ids of one document are consecutive. */
static int neighbours_in_store(void *arg, int64_t id, int reach, int64_t *ids) {
    const places *p = &((rag *)arg)->where;
    int64_t at = id_find(p->id, p->n, id);
    int n = 0;
    if (at < 0) return 0;
    for (int64_t i = at - reach; i <= at + reach; i++)
        if (i != at && i >= 0 && i < p->n && p->document[i] == p->document[at]) ids[n++] = p->id[i];
    return n;
}

static status tokens_in_store(void *arg, int64_t id, const int32_t **ids, int64_t *n) {
    rag *r = arg;
    store_passage p;
    bool found;
    if (!r->looked_at) r->looked_at = arena_new(0);
    arena_reset(r->looked_at, 0);
    *n = 0;
    TRY(store_get_passage(r->s, id, r->looked_at, &p, &found));
    if (!found) return OK;
    *ids = p.tokens + p.n_title;
    *n = p.n_tokens - p.n_title;
    return OK;
}

/* What was added since the index was made is not found, and should not be missed in silence. */
static status warn_behind(rag *r, const manifest *m) {
    const places *p = &r->where;
    store_counts n;
    TRY(store_count(r->s, &n));
    if (n.stale > 0 || (p->n > 0 && p->id[p->n - 1] > manifest_last_lexical(m)))
        log_warn("%s holds documents that are not indexed yet: run `raglan index --save_dir %s`",
                 r->home, r->home_word);
    return OK;
}

void rag_cut_hash(rag *r, char hash[41]) {
    const char *cut = store_cut(r->s);
    sha1_hex(cut, strlen(cut), hash);
}

bool rag_owns_index(rag *r, const manifest *m) {
    char hash[41];
    rag_cut_hash(r, hash);
    return m->generation == 0 || strcmp(m->cut, hash) == 0;
}

status rag_need_index(rag *r) {
    if (r->index) return OK;
    char *folder = rag_path(r, "index");
    manifest m;
    bool has = false;
    status st = manifest_read(folder, &m);
    if (!st && m.n_lexical == 0)
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "%s has no search files yet: run `raglan index --save_dir %s`", r->home,
                     r->home_word);
    if (!st) st = rag_need_tokenizer(r);
    if (!st) st = rag_need_retriever(r, &has);
    if (!st && !rag_owns_index(r, &m))
        st = err_set(ERR_STATE, __FILE__, __LINE__,
                     "%s has search files of another collection, or of passages cut otherwise: run "
                     "`raglan index --save_dir %s`",
                     r->home, r->home_word);
    if (!st) {
        vectors_key key = {.dim = has ? r->m->c.embedding_dim : 0};
        if (has) {
            memcpy(key.model, r->m_checkpoint.identifier, sizeof r->m_checkpoint.identifier);
            memcpy(key.tokenizer, tokenizer_hash(r->reads ? r->reads : r->t), 41);
        }
        bool current = has && m.n_vectors > 0 && vectors_key_equal(&key, &m.key);
        if (has && !current)
            log_warn("the index has no vectors of retriever %.12s: searching by BM25 alone; run "
                     "`raglan index --save_dir %s`",
                     key.model, r->home_word);
        st = search_open(folder, current ? &key : NULL, &r->index);
    }
    if (!st) st = rag_load_places(r);
    if (!st) st = warn_behind(r, &m);
    manifest_clear(&m);
    free(folder);
    if (st) rag_forget_index(r);
    return st;
}

finder rag_finder(rag *r) {
    bool dense = r->m && search_flat(r->index);
    return (finder){.index = r->index,
                    .m = dense ? r->m : NULL,
                    .reads = r->reads,
                    .passages = {neighbours_in_store, tokens_in_store, r}};
}
