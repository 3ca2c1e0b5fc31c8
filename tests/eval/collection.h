#ifndef RAGLAN_TESTS_EVAL_COLLECTION_H
#define RAGLAN_TESTS_EVAL_COLLECTION_H
/* A collection small enough to know every rank in it: each document is one passage of ten words,
 * and BM25 puts those first that say the question's word more often.
 *
 *   d1 .. d5   say "apple" 6, 4, 3, 2 and 1 times; d6 never
 *   t1, t2     are the same text, with "pear": a tie
 *
 * Both models are as they were born: what they say is noise, but always the same noise. */
#include <math.h>
#include <sys/stat.h>

#include "eval/eval.h"
#include "search/manifest.h"
#include "succeeds.h"
#include "temp.h"
#include "text/window.h"
#include "util/log.h"

typedef struct collection {
    store *s;
    tokenizer *t;
    arena *a;
    token_traits traits;
    corpus *c;
    qa_set *q;
    search *index;
    retriever *m;
    generator *g;
    eval_units *u;
    eval_input in;
} collection;

/* clang-format off */
static const char *const documents[][2] = {
    {"d1", "apple apple apple apple apple apple basalt slate over hill"},
    {"d2", "apple apple apple apple granite cart over hill by lake"},
    {"d3", "apple apple apple cart over hill by lake in rain"},
    {"d4", "apple apple marble cart over hill by lake in rain"},
    {"d5", "apple gravel wood cart over hill by lake in rain"},
    {"d6", "slate gravel wood cart over hill by lake in rain"},
    {"t1", "pear chalk wood cart over hill by lake in rain"},
    {"t2", "pear chalk wood cart over hill by lake in rain"},
};
static const store_question questions[] = {
    {.id = "q1", .question = "apple", .answers = "[\"basalt\"]", .documents = "[\"d1\"]", .kind = "one_hop"},
    {.id = "q2", .question = "apple", .answers = "[\"granite\", \"cart\"]", .documents = "[\"d2\"]", .kind = "one_hop"},
    {.id = "q3", .question = "apple", .answers = "[\"marble\"]", .documents = "[\"d4\"]", .kind = "one_hop"},
    {.id = "q 4", .question = "apple", .answers = "[\"slate\"]", .documents = "[\"d1\", \"d6\"]", .kind = "two_hop"},
    {.id = "q5", .question = "pear", .answers = "[\"chalk\"]", .documents = "[\"t1\"]"},
    {.id = "q6", .question = "apple", .documents = "[\"d1\"]", .kind = "unanswerable", .unanswerable = true},
    {.id = "q7", .question = "nobody says what answers this"},
};
/* clang-format on */
enum { N_DOCUMENTS = 8, N_QUESTIONS = 7 };

static status next_text(void *arg, const char **text, size_t *n, bool *more) {
    int *i = arg;
    *more = *i < N_DOCUMENTS;
    if (*more) *text = documents[(*i)++][1];
    if (*more) *n = strlen(*text);
    return OK;
}

static void put_document(collection *k, lexical_builder *b, int i) {
    const char *text = documents[i][1];
    store_document d = {.id = documents[i][0], .text = text, .text_bytes = strlen(text)};
    store_change change;
    int64_t key, n;
    SUCCEEDS(store_put_document(k->s, &d, &change, &key));
    int32_t *ids = tokenizer_encode_ids(k->t, text, strlen(text), k->a, &n);
    store_passage p = {.begin = 0, .end = (int64_t)strlen(text), .tokens = ids, .n_tokens = n};
    SUCCEEDS(store_put_passages(k->s, key, &p, 1));
    SUCCEEDS(lexical_builder_add(b, i + 1, NULL, 0, text, strlen(text)));
}

static void put_vectors(collection *k, const char *folder, manifest *m, vectors_key *key) {
    retriever_config c = {.vocab = tokenizer_size(k->t),
                          .dim = 16,
                          .embedding_dim = 16,
                          .window = 64,
                          .n_blocks = 1,
                          .n_heads = 2,
                          .bag = true,
                          .unit = true};
    k->m = retriever_new(&c, NULL, 1, false);
    *key = (vectors_key){.model = "m", .tokenizer = "t", .dim = 16};
    float rows[N_DOCUMENTS * 16];
    char name[SEGMENT_NAME];
    vectors_writer *w;
    SUCCEEDS(embed_passages(k->m, k->c, NULL, k->c->n, rows, NULL, NULL));
    SUCCEEDS(vectors_writer_open(folder, key, &w));
    SUCCEEDS(vectors_writer_add(w, k->c->id, rows, k->c->n));
    SUCCEEDS(vectors_writer_finish(w, name));
    vectors_writer_close(w);
    SUCCEEDS(manifest_add_vectors(folder, m, name));
}

static void put_questions(collection *k) {
    store_change change;
    for (int i = 0; i < N_QUESTIONS; i++) {
        store_question q = questions[i];
        q.split = SPLIT_TEST;
        SUCCEEDS(store_put_question(k->s, &q, &change, NULL));
    }
    SUCCEEDS(qa_set_load(k->s, k->c, k->t, SPLIT_TEST, 0, &k->q));
}

static void open_index(collection *k, const char *folder, const char *words) {
    manifest m;
    vectors_key key;
    manifest_init(&m);
    SUCCEEDS(manifest_add_lexical(folder, &m, words));
    put_vectors(k, folder, &m, &key);
    SUCCEEDS(manifest_write(folder, &m));
    manifest_clear(&m);
    SUCCEEDS(search_open(folder, &key, &k->index));
}

static inline void collection_open(collection *k) {
    static int n;
    char name[32], words[SEGMENT_NAME];
    log_level_set(LOG_ERROR); /* the vocabulary is cut to this little text: no need to say so */
    snprintf(name, sizeof name, "home%d", n++);
    const char *home = temp_path(name);
    snprintf(name, sizeof name, "index%d", n);
    const char *folder = temp_path(name);
    assert_int_equal(mkdir(folder, 0777), 0);
    *k = (collection){.a = arena_new(0)};
    SUCCEEDS(store_open(home, STORE_WRITE, &k->s));
    SUCCEEDS(tokenizer_train(&(tokenizer_options){.vocab_size = 400}, next_text, &(int){0},
                             temp_path("wiki.model")));
    SUCCEEDS(tokenizer_open(temp_path("wiki.model"), &k->t));
    k->traits = traits_of(k->t, k->a);
    window_options o = {.context_size = 256};
    char *cut = window_describe(&o, tokenizer_hash(k->t));
    SUCCEEDS(store_cut_set(k->s, cut));
    free(cut);

    lexical_builder *b;
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    for (int i = 0; i < N_DOCUMENTS; i++) put_document(k, b, i);
    SUCCEEDS(lexical_builder_finish(b, words));
    lexical_builder_close(b);
    SUCCEEDS(corpus_load(k->s, k->t, &k->c));
    assert_int_equal(k->c->id[0], 1); /* the ids that the builder was given */
    open_index(k, folder, words);
    put_questions(k);
    SUCCEEDS(eval_units_load(k->s, k->c, &k->u));
    generator_config g = generator_defaults();
    g.vocab = tokenizer_size(k->t);
    g.dim = 16;
    g.n_encoder = 1;
    g.n_heads = 2;
    g.limits.answer = 4;
    k->g = generator_new(&g, 1, false);
    k->in = (eval_input){.t = k->t,
                         .traits = &k->traits,
                         .c = k->c,
                         .questions = k->q,
                         .find = {k->index, k->m, finder_passages(k->c)},
                         .g = k->g,
                         .mode = SEARCH_BM25,
                         .top_k = 3,
                         .seed = 42};
}

static inline void collection_close(collection *k) {
    eval_units_free(k->u);
    generator_free(k->g);
    retriever_free(k->m);
    search_close(k->index);
    qa_set_free(k->q);
    corpus_free(k->c);
    tokenizer_close(k->t);
    store_close(k->s);
    arena_free(k->a);
}

/* A report's part as text, without what is never the same twice. */
static inline char *without_times(json_t *part) {
    json_object_del(part, "latency_ms");
    char *line = json_line(part);
    json_decref(part);
    return line;
}

/* The number under outer (or right here) and key. */
static inline double figure(const json_t *part, const char *outer, const char *key) {
    const json_t *o = *outer ? json_object_get(part, outer) : part;
    if (!json_is_number(json_object_get(o, key))) fail_msg("no figure %s/%s", outer, key);
    return json_num(o, key, -1);
}

static inline void figure_is(const json_t *part, const char *outer, const char *key,
                             double wanted) {
    double found = figure(part, outer, key);
    if (!(fabs(found - wanted) < 1e-12)) fail_msg("%s: %.15g, wanted %.15g", key, found, wanted);
}
#endif
