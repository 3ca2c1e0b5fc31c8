/* raglan info: what a home holds, and what in it does not match what it was made from, each with
 * the command that repairs it. */
#include "cli/cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "rag/rag_int.h"

/* What does not match what it was made from, and the command that repairs it. */
static void add_stale(json_t *stale, const char *what, char *command) {
    json_array_append_new(stale, json_pack("{s:s, s:s}", "what", what, "command", command));
    free(command);
}

/* Figures of dev as people read them. */
static void print_figures(const json_t *figures) {
    const char *key, *between = " ";
    json_t *value;
    json_object_foreach((json_t *)figures, key, value) {
        printf("%s%s %.4g", between, key, json_number_value(value));
        between = ", ";
    }
}

static json_t *checkpoint_json(const checkpoint *c) {
    json_t *dev = json_object_get(c->meta, "dev");
    return json_pack("{s:s, s:s, s:I, s:O, s:b, s:b, s:b}", "identifier", c->identifier, "type",
                     c->type, "step", (json_int_t)c->step, "dev", dev ? dev : json_null(), "newest",
                     c->is_newest, "best", c->is_best, "finished", c->finished);
}

static status add_checkpoints(rag *r, json_t *out, json_t *stale) {
    checkpoint_list list;
    TRY(checkpoint_scan(r->home, NULL, &list));
    for (int64_t i = 0; i < list.n; i++) {
        const checkpoint *c = &list.at[i];
        const char *of = checkpoint_tokenizer(c);
        json_array_append_new(out, checkpoint_json(c));
        if (c->is_newest && r->t && *of && !rag_knows_tokenizer(r, of))
            add_stale(
                stale, c->type,
                xasprintf("raglan train %s --new_model --save_dir %s", c->type, r->home_word));
        else if (c->is_newest && !c->finished)
            add_stale(stale, c->type,
                      xasprintf("raglan train %s --save_dir %s", c->type, r->home_word));
    }
    checkpoint_list_clear(&list);
    return OK;
}

static status count_passage(void *arg, const store_passage *p) {
    (void)p;
    ++*(int64_t *)arg;
    return OK;
}

static status add_index(rag *r, const store_counts *n, json_t **out, json_t *stale) {
    char *folder = rag_path(r, "index");
    manifest m;
    status st = manifest_read(folder, &m);
    free(folder);
    if (st) return st;
    /* Ids grow: what lies behind the last one of a kind is not in its files. Removed passages that
     * the files still hold are not counted. */
    int64_t unindexed = 0, without_vector = 0;
    st = store_each_passage(r->s, manifest_last_lexical(&m), count_passage, &unindexed);
    if (!st && m.n_vectors)
        st = store_each_passage(r->s, manifest_last_vector(&m), count_passage, &without_vector);
    bool ours = rag_owns_index(r, &m);
    int64_t words = ours ? n->passages - unindexed : 0;
    int64_t rows = ours && m.n_vectors ? n->passages - without_vector : 0;
    *out = json_pack("{s:I, s:I, s:I, s:I, s:s, s:I, s:f, s:f, s:b}", "generation",
                     (json_int_t)m.generation, "lexical", (json_int_t)words, "vectors",
                     (json_int_t)rows, "deleted", (json_int_t)m.n_deleted, "retriever", m.key.model,
                     "dim", (json_int_t)m.key.dim, "dense_weight", m.fuse.lambda, "neighbour_share",
                     m.fuse.share, "tuned", m.is_tuned);
    checkpoint best = {0};
    if (!st) st = checkpoint_find(r->home, "retriever", NULL, CHECKPOINT_BEST, &best);
    bool behind = !ours || n->stale > 0 || unindexed > 0 ||
                  (best.identifier[0] && strcmp(best.identifier, m.key.model));
    if (!st && behind && n->documents > 0)
        add_stale(stale, "index", xasprintf("raglan index --save_dir %s", r->home_word));
    checkpoint_clear(&best);
    manifest_clear(&m);
    return st;
}

static status gather(rag *r, json_t **out) {
    store_counts n;
    TRY(store_count(r->s, &n));
    if (rag_need_tokenizer(r)) err_clear(); /* none yet: null below */
    json_t *checkpoints = json_array(), *stale = json_array(), *index = NULL;
    status st = add_checkpoints(r, checkpoints, stale);
    if (!st) st = add_index(r, &n, &index, stale);
    json_t *pieces = r->t ? json_pack("{s:s, s:I}", "hash", tokenizer_hash(r->t), "vocab_size",
                                      (json_int_t)tokenizer_size(r->t))
                          : json_null();
    *out =
        json_pack("{s:I, s:I, s:{s:I, s:I, s:I}, s:s, s:o, s:o, s:o, s:o}", "documents",
                  (json_int_t)n.documents, "passages", (json_int_t)n.passages, "questions", "train",
                  (json_int_t)n.served[SPLIT_TRAIN], "dev", (json_int_t)n.served[SPLIT_DEV], "test",
                  (json_int_t)n.served[SPLIT_TEST], "cut", store_cut(r->s), "tokenizer", pieces,
                  "checkpoints", checkpoints, "index", index ? index : json_null(), "stale", stale);
    return st;
}

static void print(const char *home, const json_t *j) {
    const json_t *q = json_object_get(j, "questions"), *t = json_object_get(j, "tokenizer"),
                 *index = json_object_get(j, "index");
    printf("home         %s\n", home);
    int64_t passages = json_int(j, "passages", 0), words = json_int(index, "lexical", 0);
    printf("documents    %" PRId64 ", cut into %" PRId64 " passage%s\n",
           json_int(j, "documents", 0), passages, plural(passages));
    printf("questions    train %" PRId64 ", dev %" PRId64 ", test %" PRId64 "\n",
           json_int(q, "train", 0), json_int(q, "dev", 0), json_int(q, "test", 0));
    if (json_is_object(t))
        printf("tokenizer    %.12s, %" PRId64 " pieces\n", json_str(t, "hash", ""),
               json_int(t, "vocab_size", 0));
    else
        printf("tokenizer    none yet\n");
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(j, "checkpoints"), i, c) {
        const json_t *figures = json_object_get(c, "dev");
        bool is_newest = json_flag(c, "newest", false);
        printf("%-12s %.12s, step %" PRId64 "%s%s%s, dev%s", json_str(c, "type", ""),
               json_str(c, "identifier", ""), json_int(c, "step", 0),
               is_newest && !json_flag(c, "finished", false) ? ", unfinished" : "",
               is_newest ? ", newest" : "", json_flag(c, "best", false) ? ", best" : "",
               json_is_object(figures) ? "" : " not measured");
        print_figures(figures);
        printf("\n");
    }
    printf("index        %" PRId64 " passage%s by words, %" PRId64 " by vectors\n", words,
           plural(words), json_int(index, "vectors", 0));
    json_array_foreach(json_object_get(j, "stale"), i, c) printf(
        "to do        %s is behind: %s\n", json_str(c, "what", ""), json_str(c, "command", ""));
}

int cmd_info(int argc, char **argv) {
    opts o = {.command = "info",
              .about =
                  "Says what the collection holds, what was trained on it, and what is behind.",
              .shared = OPTS_HOME | OPTS_JSON};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    json_t *j = NULL;
    status st = (status)rag_open(o.home, NULL, &r);
    if (!st) st = gather(r, &j);
    if (!st && o.json) {
        char *line = json_line(j);
        puts(line);
        free(line);
    } else if (!st)
        print(o.home, j);
    json_decref(j);
    rag_close(r);
    return cli_exit(st);
}
