/* Store: what is put comes back, identities, keys that are never used again, splits, names. */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "temp.h"
#include "util/hash.h"

static store *s;
static arena *a;

/* A new collection for each test. */
static int open_fresh(void **state) {
    (void)state;
    static int n;
    char name[32];
    snprintf(name, sizeof name, "home%d", n++);
    a = arena_new(1 << 26);
    return store_open(temp_path(name), STORE_WRITE, &s);
}

static int close_it(void **state) {
    (void)state;
    store_close(s);
    arena_free(a);
    return 0;
}

static store_change put(const char *id, const char *uri, const char *title, const char *text,
                        int64_t *key) {
    store_document d = {
        .id = id, .uri = uri, .title = title, .text = text, .text_bytes = strlen(text)};
    store_change change;
    assert_int_equal(store_put_document(s, &d, &change, key), OK);
    return change;
}

static store_counts counts(void) {
    store_counts c;
    assert_int_equal(store_count(s, &c), OK);
    return c;
}

static void cut(int64_t document, int64_t n, int64_t bytes) {
    store_passage p[8] = {0};
    int32_t tokens[] = {1, 130, 20000, 0};
    for (int64_t i = 0; i < n; i++)
        p[i] = (store_passage){
            .begin = i * bytes, .end = (i + 1) * bytes, .tokens = tokens, .n_tokens = 4};
    assert_int_equal(store_put_passages(s, document, p, n), OK);
}

static status note_id(void *arg, const store_passage *p) {
    int64_t *ids = arg;
    ids[++ids[0]] = p->id;
    return OK;
}

/* ---- documents ---- */

static void a_document_comes_back_as_it_was_put(void **state) {
    (void)state;
    store_document d = {.id = "d1",
                        .uri = "file:x/a.txt",
                        .title = "A title",
                        .text = "some\0text",
                        .text_bytes = 9,
                        .meta = "{}",
                        .path = "x/a.txt",
                        .format = "text"};
    store_change change;
    int64_t key;
    bool found;
    store_document back;
    assert_int_equal(store_put_document(s, &d, &change, &key), OK);
    assert_int_equal(change, STORE_ADDED);
    assert_int_equal(store_get_document(s, key, a, &back, &found), OK);
    assert_true(found);
    assert_string_equal(back.id, "d1");
    assert_string_equal(back.uri, "file:x/a.txt");
    assert_string_equal(back.title, "A title");
    assert_string_equal(back.meta, "{}");
    assert_string_equal(back.path, "x/a.txt");
    assert_string_equal(back.format, "text");
    assert_int_equal(back.text_bytes, 9);
    assert_memory_equal(back.text, "some\0text", 9);
    char hex[41];
    sha1_hex("some\0text", 9, hex);
    assert_string_equal(back.hash, hex);
    assert_int_equal(store_find_document(s, "d1", a, &back, &found), OK);
    assert_true(found && back.key == key);
    assert_int_equal(store_find_document(s, "d2", a, &back, &found), OK);
    assert_false(found);
}

static void an_id_is_the_identity_where_given(void **state) {
    (void)state;
    int64_t one, two, again;
    assert_int_equal(put("a", "u", "t", "text", &one), STORE_ADDED);
    assert_int_equal(put("a", "u", "t", "text", &again), STORE_UNCHANGED);
    assert_int_equal(again, one);
    assert_int_equal(put("a", "u", "t", "other text", &again), STORE_REPLACED);
    assert_int_equal(again, one);
    assert_int_equal(put("a", "u", "new title", "other text", &again), STORE_REPLACED);
    assert_int_equal(put("b", "u", "t", "text", &two), STORE_ADDED); /* same uri, another id */
    assert_int_equal(put("c", "v", "t", "text", NULL), STORE_ADDED); /* same text, another id */
    assert_int_not_equal(one, two);
    assert_int_equal(counts().documents, 3);
}

static void without_an_id_the_uri_is_the_identity(void **state) {
    (void)state;
    int64_t one, again;
    bool found;
    store_document d;
    assert_int_equal(put(NULL, "x/a.txt", "a", "text", &one), STORE_ADDED);
    assert_int_equal(put(NULL, "x/a.txt", "a", "text", &again), STORE_UNCHANGED);
    assert_int_equal(put(NULL, "x/a.txt", "a", "changed text", &again), STORE_REPLACED);
    assert_int_equal(again, one);
    assert_int_equal(counts().documents, 1);
    assert_int_equal(store_get_document(s, one, a, &d, &found), OK);
    assert_string_equal(d.id, d.hash); /* the id follows the content */
    assert_string_equal(d.text, "changed text");
}

static void a_text_is_not_stored_twice_under_two_uris(void **state) {
    (void)state;
    int64_t one, two, *keys, n;
    assert_int_equal(put(NULL, "x/a.txt", "a", "text", &one), STORE_ADDED);
    assert_int_equal(put(NULL, "x/copy.txt", "copy", "text", &two), STORE_UNCHANGED);
    assert_int_equal(one, two);
    assert_int_equal(counts().documents, 1);
    assert_int_equal(store_resolve(s, "x/copy.txt", a, &keys, &n),
                     OK); /* yet both names lead to it */
    assert_int_equal(n, 1);
    assert_int_equal(keys[0], one);
    /* the first changes: the copy keeps the text, and has its own title now */
    assert_int_equal(put(NULL, "x/a.txt", "a", "changed", &two), STORE_REPLACED);
    assert_int_not_equal(one, two);
    assert_int_equal(put(NULL, "x/copy.txt", "copy", "text", NULL), STORE_REPLACED);
    assert_int_equal(put(NULL, "x/copy.txt", "copy", "text", NULL), STORE_UNCHANGED);
    assert_int_equal(counts().documents, 2);
    /* the copy follows: nobody names the old text any more */
    assert_int_equal(put(NULL, "x/copy.txt", "copy", "changed", &one), STORE_REPLACED);
    assert_int_equal(two, one);
    assert_int_equal(counts().documents, 1);
    assert_int_equal(put(NULL, "x/copy.txt", "copy", "changed", NULL), STORE_UNCHANGED);
}

static void text_that_is_not_utf8_is_refused_by_name(void **state) {
    (void)state;
    store_document d = {.id = "bad", .text = "ab\xff", .text_bytes = 3};
    store_change change;
    assert_int_equal(store_put_document(s, &d, &change, NULL), ERR_ARG);
    assert_string_equal(err_msg(), "document bad: the text is not UTF-8 at byte 2");
    assert_int_equal(counts().documents, 0);
}

static status collect(void *arg, const store_document *d) {
    buf_printf(arg, "%s ", d->id);
    return OK;
}

static void documents_come_in_the_order_of_their_keys(void **state) {
    (void)state;
    int64_t second;
    put("z", NULL, NULL, "1", NULL);
    put("b", NULL, NULL, "2", &second);
    put("k", NULL, NULL, "3", NULL);
    put("z", NULL, NULL, "changed", NULL);
    buf b = {0};
    assert_int_equal(store_each_document(s, 0, collect, &b), OK);
    assert_string_equal(b.at, "z b k ");
    buf_reset(&b);
    assert_int_equal(store_each_document(s, second, collect, &b), OK);
    assert_string_equal(b.at, "k ");
    buf_clear(&b);
}

/* ---- names ---- */

static void names_mean_an_id_then_a_uri_then_the_end_of_one(void **state) {
    (void)state;
    int64_t angola, b_angola, named, *keys, n;
    put("1", "wiki/Angola.txt", NULL, "x", &angola);
    put("2", "books/b/Angola.txt", NULL, "y", &b_angola);
    put("Angola.txt", NULL, NULL, "z", &named);
    assert_int_equal(store_resolve(s, "Angola.txt", a, &keys, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(keys[0], named);
    store_removed r;
    assert_int_equal(store_remove(s, "Angola.txt", &r), OK);
    assert_int_equal(store_resolve(s, "Angola.txt", a, &keys, &n), OK);
    assert_int_equal(n, 2);
    assert_int_equal(keys[0], angola);
    assert_int_equal(keys[1], b_angola);
    assert_int_equal(store_resolve(s, "b/Angola.txt", a, &keys, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(keys[0], b_angola);
    assert_int_equal(store_resolve(s, "ngola.txt", a, &keys, &n), OK);
    assert_int_equal(n, 0);
    assert_int_equal(store_resolve(s, "", a, &keys, &n), OK);
    assert_int_equal(n, 0);
}

/* ---- removal ---- */

static void put_from(const char *id, const char *path, const char *text) {
    store_document d = {.id = id, .path = path, .text = text, .text_bytes = strlen(text)};
    store_change change;
    assert_int_equal(store_put_document(s, &d, &change, NULL), OK);
}

static void removal_takes_an_id_a_uri_or_a_path(void **state) {
    (void)state;
    store_removed r;
    store_change change;
    put("a", "the uri", NULL, "x", NULL);
    put_from("b", "docs/one.txt", "y");
    put_from("c", "docs/sub/two.txt", "z");
    put_from("d", "docs2/three.txt", "w");
    store_question q = {.id = "q", .question = "who?", .path = "docs/q.jsonl"};
    assert_int_equal(store_put_question(s, &q, &change, NULL), OK);
    assert_int_equal(store_remove(s, "the uri", &r), OK);
    assert_int_equal(r.documents, 1);
    assert_int_equal(store_remove(s, "docs/", &r), OK);
    assert_int_equal(r.documents, 2); /* not docs2 */
    assert_int_equal(r.questions, 1);
    assert_int_equal(store_remove(s, "nothing", &r), OK);
    assert_int_equal(r.documents + r.questions, 0);
    assert_int_equal(store_remove(s, "d", &r), OK);
    assert_int_equal(r.documents, 1);
    assert_int_equal(counts().documents, 0);
}

static void keys_and_passage_ids_are_never_used_again(void **state) {
    (void)state;
    int64_t one, two, ids[16] = {0};
    store_removed r;
    assert_int_equal(store_cut_set(s, "cut 1"), OK);
    put("a", NULL, NULL, "0123456789", &one);
    cut(one, 2, 5);
    assert_int_equal(store_each_passage(s, 0, note_id, ids), OK);
    assert_int_equal(store_remove(s, "a", &r), OK);
    assert_int_equal(r.passages, 2);
    put("a", NULL, NULL, "0123456789", &two);
    assert_true(two > one);
    int64_t again[16] = {0};
    cut(two, 2, 5);
    assert_int_equal(store_each_passage(s, 0, note_id, again), OK);
    assert_int_equal(again[0], 2);
    assert_true(again[1] > ids[2]);
}

/* ---- passages ---- */

static void passages_come_back_with_their_tokens_and_text(void **state) {
    (void)state;
    int64_t key, ids[16] = {0};
    bool found;
    assert_int_equal(store_cut_set(s, "cut"), OK);
    put("a", "the uri", "the title", "first part, second part", &key);
    int32_t tokens[] = {0, 127, 128, 16383, 16384, 2147483647};
    store_passage p[] = {{.begin = 0, .end = 10, .tokens = tokens, .n_tokens = 6, .n_title = 2},
                         {.begin = 12, .end = 23, .tokens = tokens, .n_tokens = 1}};
    assert_int_equal(store_put_passages(s, key, p, 2), OK);
    assert_int_equal(store_each_passage_of(s, key, note_id, ids), OK);
    store_hit h;
    assert_int_equal(store_get_hit(s, ids[1], a, &h, &found), OK);
    assert_true(found);
    assert_int_equal(h.passage.document, key);
    assert_int_equal(h.passage.ordinal, 0);
    assert_int_equal(h.passage.n_title, 2);
    assert_int_equal(h.passage.n_tokens, 6);
    assert_memory_equal(h.passage.tokens, tokens, sizeof tokens);
    assert_true(h.passage.hash == hash64(tokens, sizeof tokens));
    assert_string_equal(h.text, "first part");
    assert_int_equal(h.text_bytes, 10);
    assert_string_equal(h.title, "the title");
    assert_string_equal(h.uri, "the uri");
    assert_string_equal(h.id, "a");
    assert_int_equal(store_get_hit(s, ids[2], a, &h, &found), OK);
    assert_string_equal(h.text, "second part");
    assert_int_equal(store_get_hit(s, ids[2] + 1, a, &h, &found), OK);
    assert_false(found);
}

static void a_changed_text_takes_its_passages_along(void **state) {
    (void)state;
    int64_t key;
    assert_int_equal(store_cut_set(s, "cut"), OK);
    put("a", NULL, "title", "0123456789", &key);
    cut(key, 2, 5);
    assert_int_equal(counts().passages, 2);
    store_document d = {
        .id = "a", .title = "title", .text = "0123456789", .text_bytes = 10, .meta = "{\"x\":1}"};
    store_change change;
    assert_int_equal(store_put_document(s, &d, &change, NULL), OK);
    assert_int_equal(change, STORE_REPLACED);
    assert_int_equal(counts().passages, 2); /* only its meta changed */
    assert_int_equal(counts().stale, 0);
    put("a", NULL, "title", "other", NULL);
    assert_int_equal(counts().passages, 0);
    assert_int_equal(counts().stale, 1);
}

static status cut_it(void *arg, const store_document *d) {
    buf_printf(arg, "%s ", d->id);
    cut(d->key, 1, (int64_t)d->text_bytes);
    return OK;
}

static void another_cut_makes_all_passages_stale(void **state) {
    (void)state;
    buf b = {0};
    assert_string_equal(store_cut(s), "");
    assert_int_equal(store_cut_set(s, "size 64"), OK);
    assert_string_equal(store_cut(s), "size 64");
    put("a", NULL, NULL, "text", NULL);
    put("b", NULL, NULL, "more text", NULL);
    assert_int_equal(counts().stale, 2);
    assert_int_equal(store_each_uncut(s, cut_it, &b), OK);
    assert_string_equal(b.at, "a b ");
    assert_int_equal(counts().stale, 0);
    put("c", NULL, NULL, "new", NULL);
    buf_reset(&b);
    assert_int_equal(store_each_uncut(s, cut_it, &b), OK);
    assert_string_equal(b.at, "c ");
    assert_int_equal(store_cut_set(s, "size 128"), OK);
    assert_int_equal(counts().stale, 3);
    buf_reset(&b);
    assert_int_equal(store_each_uncut(s, cut_it, &b), OK);
    assert_string_equal(b.at, "a b c ");
    assert_int_equal(counts().passages, 3);
    buf_clear(&b);
}

static void a_blank_document_is_cut_into_nothing_once(void **state) {
    (void)state;
    int64_t key;
    assert_int_equal(store_cut_set(s, "cut"), OK);
    put("blank", NULL, NULL, " \n", &key);
    assert_int_equal(store_put_passages(s, key, NULL, 0), OK);
    assert_int_equal(counts().stale, 0);
}

static void the_rest_of_a_file_is_removed_but_for_what_is_kept(void **state) {
    (void)state;
    store_document d = {.path = "f.jsonl", .text = "x", .text_bytes = 1};
    store_question q = {.id = "q", .path = "f.jsonl", .question = "why?"};
    store_change change;
    store_keys documents = {0}, questions = {0};
    store_removed gone;
    int64_t key;
    for (int i = 0; i < 200; i++) { /* over several words of the set */
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        d.id = id;
        if (i == 199) d.path = "other.jsonl";
        assert_int_equal(store_put_document(s, &d, &change, &key), OK);
        if (i % 100 == 7) store_keys_add(&documents, key);
    }
    assert_int_equal(store_put_question(s, &q, &change, &key), OK);
    for (int only_count = 1; only_count >= 0; only_count--) {
        assert_int_equal(store_remove_rest(s, "f.jsonl", &documents, &questions, only_count, &gone),
                         OK);
        assert_int_equal(gone.documents, 197);
        assert_int_equal(gone.questions, 1);
        assert_int_equal(counts().documents, only_count ? 200 : 3); /* 7, 107, 199 */
        assert_int_equal(counts().questions[SPLIT_TRAIN], only_count);
    }
    store_keys_clear(&documents);
    store_keys_clear(&questions);
}

/* ---- questions ---- */

static store_change ask(store_question q) {
    store_change change;
    assert_int_equal(store_put_question(s, &q, &change, NULL), OK);
    return change;
}

static void a_question_comes_back_as_it_was_put(void **state) {
    (void)state;
    store_question q = {.id = "q1",
                        .split = SPLIT_TEST,
                        .question = "Who?",
                        .answers = "[\"Ada\", \"A. L.\"]",
                        .documents = "[\"d1\"]",
                        .full_answer = "It was Ada.",
                        .kind = "one_hop",
                        .unanswerable = true,
                        .evidence = "d1#3",
                        .path = "q.jsonl",
                        .format = "jsonl"};
    store_question back;
    bool found;
    assert_int_equal(ask(q), STORE_ADDED);
    assert_int_equal(ask(q), STORE_UNCHANGED);
    assert_int_equal(store_find_question(s, "q1", a, &back, &found), OK);
    assert_true(found);
    assert_int_equal(back.split, SPLIT_TEST);
    assert_string_equal(back.question, "Who?");
    assert_string_equal(back.answers, "[\"Ada\", \"A. L.\"]");
    assert_string_equal(back.documents, "[\"d1\"]");
    assert_string_equal(back.full_answer, "It was Ada.");
    assert_string_equal(back.kind, "one_hop");
    assert_true(back.unanswerable);
    assert_string_equal(back.evidence, "d1#3");
    assert_string_equal(back.path, "q.jsonl");
    assert_string_equal(back.format, "jsonl");
}

static void a_question_is_in_one_split_the_last_named(void **state) {
    (void)state;
    assert_int_equal(ask((store_question){.question = "Who?", .split = SPLIT_TRAIN}), STORE_ADDED);
    assert_int_equal(ask((store_question){.question = "Who?", .split = SPLIT_TEST}),
                     STORE_REPLACED);
    store_counts c = counts();
    assert_int_equal(c.questions[SPLIT_TRAIN], 0);
    assert_int_equal(c.questions[SPLIT_TEST], 1);
}

static void lists_that_are_not_lists_of_strings_are_refused(void **state) {
    (void)state;
    store_change change;
    store_question q = {.id = "q", .question = "Who?", .answers = "[1]"};
    assert_int_equal(store_put_question(s, &q, &change, NULL), ERR_ARG);
    assert_string_equal(err_msg(), "question q: answers[0] is not a string");
    q = (store_question){.id = "q", .question = "Who?", .documents = "{}"};
    assert_int_equal(store_put_question(s, &q, &change, NULL), ERR_ARG);
    assert_int_equal(counts().questions[SPLIT_TRAIN], 0);
}

typedef struct seen {
    bool at[400];
    bool document[20];
    int64_t n;
} seen;

static status see(void *arg, const store_question *q) {
    seen *v = arg;
    v->at[atoi(q->id + 1)] = true;
    v->document[atoi(q->documents + 3)] = true;
    v->n++;
    return OK;
}

static void fill_train(int n_documents) {
    assert_int_equal(store_begin(s), OK);
    for (int i = 0; i < 400; i++) {
        char id[16], documents[32];
        snprintf(id, sizeof id, "q%d", i);
        snprintf(documents, sizeof documents, "[\"d%d\"]", i % n_documents);
        ask((store_question){.id = id, .question = "Who?", .documents = documents});
    }
    assert_int_equal(store_commit(s), OK);
}

static void a_tenth_of_train_serves_as_dev_by_document(void **state) {
    (void)state;
    seen train = {0}, dev = {0};
    fill_train(20);
    assert_int_equal(store_each_question(s, SPLIT_TRAIN, see, &train), OK);
    assert_int_equal(store_each_question(s, SPLIT_DEV, see, &dev), OK);
    assert_int_equal(train.n + dev.n, 400);
    assert_in_range(dev.n, 20, 80); /* 1 to 4 of the 20 documents */
    for (int i = 0; i < 400; i++) assert_true(train.at[i] != dev.at[i]);
    for (int i = 0; i < 20; i++) assert_true(train.document[i] != dev.document[i]);
    store_counts c = counts();
    assert_int_equal(c.questions[SPLIT_TRAIN], 400);
    assert_int_equal(c.served[SPLIT_TRAIN], train.n);
    assert_int_equal(c.served[SPLIT_DEV], dev.n);
    seen all = {0};
    assert_int_equal(store_each_question(s, SPLIT_ALL, see, &all), OK);
    assert_int_equal(all.n, 400);
}

static void with_one_document_the_tenth_is_by_question(void **state) {
    (void)state;
    seen dev = {0};
    fill_train(1);
    assert_int_equal(store_each_question(s, SPLIT_DEV, see, &dev), OK);
    assert_in_range(dev.n, 20, 70);
}

static void marked_dev_questions_end_the_tenth(void **state) {
    (void)state;
    fill_train(20);
    ask((store_question){.id = "own dev", .question = "Who?", .split = SPLIT_DEV});
    store_counts c = counts();
    assert_int_equal(c.served[SPLIT_TRAIN], 400);
    assert_int_equal(c.served[SPLIT_DEV], 1);
}

static void a_question_leads_to_the_documents_it_names(void **state) {
    (void)state;
    int64_t one, two, *keys, n, missing;
    put("d1", "wiki/Angola.txt", NULL, "x", &one);
    put("d2", "wiki/England.txt", NULL, "y", &two);
    store_question q = {.question = "Where?",
                        .documents = "[\"England.txt\", \"d1\", \"wiki/Angola.txt\", \"d9\"]"};
    assert_int_equal(store_question_documents(s, &q, a, &keys, &n, &missing), OK);
    assert_int_equal(n, 2);
    assert_int_equal(keys[0], one);
    assert_int_equal(keys[1], two);
    assert_int_equal(missing, 1);
    q.evidence = "d2";
    assert_int_equal(store_question_documents(s, &q, a, &keys, &n, NULL), OK);
    assert_int_equal(n, 1);
    assert_int_equal(keys[0], two);
    q = (store_question){.question = "Where?"};
    assert_int_equal(store_question_documents(s, &q, a, &keys, &n, &missing), OK);
    assert_int_equal(n, 0);
    assert_int_equal(missing, 0);
}

static void splits_have_names(void **state) {
    (void)state;
    store_split split;
    assert_true(store_split_parse("validation", &split));
    assert_int_equal(split, SPLIT_DEV);
    assert_string_equal(store_split_name(SPLIT_TEST), "test");
    assert_false(store_split_parse("tset", &split));
}

/* ---- the whole ---- */

static void the_data_hash_ignores_the_order_of_coming(void **state) {
    (void)state;
    char one[41], two[41], three[41];
    store_removed r;
    put("a", NULL, NULL, "text a", NULL);
    put("b", NULL, NULL, "text b", NULL);
    ask((store_question){.id = "q", .question = "Who?", .answers = "[\"x\"]"});
    assert_int_equal(store_data_hash(s, one), OK);
    assert_int_equal(store_remove(s, "a", &r), OK);
    assert_int_equal(store_data_hash(s, two), OK);
    assert_string_not_equal(one, two);
    put("a", NULL, NULL, "text a", NULL);
    assert_int_equal(store_data_hash(s, two), OK);
    assert_string_equal(one, two);
    ask((store_question){.id = "q", .question = "Who?", .answers = "[\"y\"]"});
    assert_int_equal(store_data_hash(s, three), OK);
    assert_string_not_equal(one, three);
}

static void settings_are_kept_replaced_and_removed(void **state) {
    (void)state;
    char *value;
    assert_int_equal(store_get(s, "k", a, &value), OK);
    assert_null(value);
    assert_int_equal(store_set(s, "k", "1"), OK);
    assert_int_equal(store_set(s, "k", "2"), OK);
    assert_int_equal(store_get(s, "k", a, &value), OK);
    assert_string_equal(value, "2");
    assert_int_equal(store_set(s, "k", NULL), OK);
    assert_int_equal(store_get(s, "k", a, &value), OK);
    assert_null(value);
}

static void the_generation_grows_with_changes_alone(void **state) {
    (void)state;
    int64_t before, after;
    put("a", NULL, NULL, "text", NULL);
    assert_int_equal(store_generation(s, &before), OK);
    put("a", NULL, NULL, "text", NULL);
    assert_int_equal(store_generation(s, &after), OK);
    assert_int_equal(after, before);
    put("b", NULL, NULL, "text", NULL);
    assert_int_equal(store_generation(s, &after), OK);
    assert_int_equal(after, before + 1);
}

static void a_rolled_back_batch_leaves_nothing(void **state) {
    (void)state;
    put("a", NULL, NULL, "text", NULL);
    assert_int_equal(store_begin(s), OK);
    put("b", NULL, NULL, "text", NULL);
    put("a", NULL, NULL, "other", NULL);
    store_rollback(s);
    store_document d;
    bool found;
    assert_int_equal(counts().documents, 1);
    assert_int_equal(store_find_document(s, "a", a, &d, &found), OK);
    assert_string_equal(d.text, "text");
}

static void compacting_gives_space_back(void **state) {
    (void)state;
    char *big = xmalloc(1 << 20);
    memset(big, 'x', 1 << 20);
    big[(1 << 20) - 1] = 0;
    int64_t freed;
    store_removed r;
    put("small", NULL, NULL, "text", NULL);
    put("big", NULL, NULL, big, NULL);
    free(big);
    assert_int_equal(store_compact(s, &freed), OK);
    assert_int_equal(store_remove(s, "big", &r), OK);
    assert_int_equal(store_compact(s, &freed), OK);
    assert_true(freed > 1000000);
    assert_int_equal(counts().documents, 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_fresh, close_it)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_document_comes_back_as_it_was_put),
        T(an_id_is_the_identity_where_given),
        T(without_an_id_the_uri_is_the_identity),
        T(a_text_is_not_stored_twice_under_two_uris),
        T(text_that_is_not_utf8_is_refused_by_name),
        T(documents_come_in_the_order_of_their_keys),
        T(names_mean_an_id_then_a_uri_then_the_end_of_one),
        T(removal_takes_an_id_a_uri_or_a_path),
        T(keys_and_passage_ids_are_never_used_again),
        T(passages_come_back_with_their_tokens_and_text),
        T(a_changed_text_takes_its_passages_along),
        T(another_cut_makes_all_passages_stale),
        T(a_blank_document_is_cut_into_nothing_once),
        T(the_rest_of_a_file_is_removed_but_for_what_is_kept),
        T(a_question_comes_back_as_it_was_put),
        T(a_question_is_in_one_split_the_last_named),
        T(lists_that_are_not_lists_of_strings_are_refused),
        T(a_tenth_of_train_serves_as_dev_by_document),
        T(with_one_document_the_tenth_is_by_question),
        T(marked_dev_questions_end_the_tenth),
        T(a_question_leads_to_the_documents_it_names),
        T(splits_have_names),
        T(the_data_hash_ignores_the_order_of_coming),
        T(settings_are_kept_replaced_and_removed),
        T(the_generation_grows_with_changes_alone),
        T(a_rolled_back_batch_leaves_nothing),
        T(compacting_gives_space_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
