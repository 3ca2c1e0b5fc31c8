/* The fictional encyclopedia: same bytes, honest splits, answers that stand in the evidence. */
#include "data/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/hash.h"
#include "util/json.h"
#include "util/log.h"

#include "cmocka_all.h"
#include "temp.h"
/* last: its short type names would shadow what the others call their parameters */
#include "data/sample_int.h"

static const char *const splits[] = {"train", "dev", "test"};

/* ---- sets of strings ---- */

typedef struct string_set {
    char **at;
    int n, cap;
} string_set;

static void set_add(string_set *s, const char *string) {
    GROW(s->at, s->n, s->cap);
    s->at[s->n++] = xstrdup(string);
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void set_sort(string_set *s) {
    if (s->n > 0) qsort(s->at, (size_t)s->n, sizeof *s->at, compare);
}

/* A string that both sorted sets have, or NULL. */
static const char *common(const string_set *a, const string_set *b) {
    for (int i = 0, j = 0; i < a->n && j < b->n;) {
        int order = strcmp(a->at[i], b->at[j]);
        if (order == 0) return a->at[i];
        order < 0 ? i++ : j++;
    }
    return NULL;
}

static void set_clear(string_set *s) {
    for (int i = 0; i < s->n; i++) free(s->at[i]);
    free(s->at);
    *s = (string_set){0};
}

/* ---- making and reading an encyclopedia ---- */

static void make(const char *dir, int64_t n, uint64_t seed, const char *rules, sample_report *r) {
    status st = sample_write(dir, &(sample_options){n, seed, rules}, r);
    if (st) print_error("%s\n", err_msg());
    assert_int_equal(st, OK);
}

static char *read_text(const char *dir, const char *name) {
    buf text = {0};
    char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(file_read(path, 0, &text), OK);
    free(path);
    return buf_steal(&text);
}

/* The questions of a split, as a JSON array. */
static json_t *read_questions(const char *dir, int split) {
    json_t *all = json_array(), *one;
    char name[64];
    snprintf(name, sizeof name, "questions.%s.jsonl", splits[split]);
    char *text = read_text(dir, name);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        assert_int_equal(json_parse(line, (size_t)(end - line), name, &one), OK);
        json_array_append_new(all, one);
    }
    free(text);
    return all;
}

static const char *item_of(const json_t *question, const char *key, int i) {
    const json_t *list = json_object_get(question, key);
    size_t n = json_array_size(list);
    return json_string_value(json_array_get(list, i < 0 ? n - 1 : (size_t)i));
}

static bool is_kind(const json_t *question, const char *name) {
    return strcmp(json_str(question, "kind", ""), name) == 0;
}

static status add_hash(void *arg, const char *path) {
    buf text = {0};
    TRY(file_read(path, 0, &text));
    sha1_add(arg, path + strlen(temp_path("")) + 1, strlen(path) - strlen(temp_path("")) - 1);
    sha1_add(arg, text.at, text.len);
    buf_clear(&text);
    return OK;
}

/* SHA-1 of all names and bytes under dir, whose own name has one letter. */
static void hash_folder(const char *dir, char hex[41]) {
    sha1 *h = sha1_new();
    assert_int_equal(file_walk(dir, add_hash, h), OK);
    sha1_end(h, hex);
}

static status count_file(void *arg, const char *path) {
    (void)path;
    ++*(int64_t *)arg;
    return OK;
}

/* One encyclopedia for the tests that only look at it. */
static const char *shared_dir(sample_report *report) {
    static sample_report made;
    static char dir[512];
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s", temp_path("shared"));
        make(dir, 400, 42, NULL, &made);
    }
    if (report) *report = made;
    return dir;
}

/* ---- bytes and counts ---- */

static void same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    sample_report r;
    char first[41], second[41], again[41], other[41];
    make(temp_path("a"), 120, 7, NULL, &r);
    hash_folder(temp_path("a"), first);
    make(temp_path("b"), 120, 7, NULL, &r);
    hash_folder(temp_path("b"), second);
    make(temp_path("b"), 120, 7, NULL, &r); /* over its own output */
    hash_folder(temp_path("b"), again);
    make(temp_path("c"), 120, 8, NULL, &r);
    hash_folder(temp_path("c"), other);
    assert_string_equal(first, second);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void as_many_files_as_articles(void **state) {
    (void)state;
    sample_report r;
    const char *dir = shared_dir(&r);
    int64_t n_files = 0;
    char *docs = xasprintf("%s/docs", dir);
    assert_int_equal(file_walk(docs, count_file, &n_files), OK);
    free(docs);
    assert_int_equal(n_files, 400);
    assert_int_equal(r.articles, 400);
    assert_true(r.kinds >= 12);
    assert_true(r.relations >= 60);
}

static void most_are_one_hop_an_eighth_unanswerable_and_a_few_two_hop(void **state) {
    (void)state;
    sample_report r;
    const char *dir = shared_dir(&r);
    int64_t n = 0;
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        json_t *all = read_questions(dir, s);
        assert_int_equal(json_array_size(all), r.questions[s]);
        n += r.questions[s];
        json_decref(all);
    }
    assert_int_equal(n, r.one_hop + r.two_hop + r.unanswerable);
    assert_in_range(n, 16 * 400, 22 * 400);
    assert_in_range(100 * r.one_hop / n, 76, 86);
    assert_in_range(100 * r.two_hop / n, 4, 9);
    assert_in_range(100 * r.unanswerable / n, 9, 15);
    assert_in_range(r.questions[SAMPLE_DEV], 7 * 30, 9 * 50);
    assert_in_range(r.questions[SAMPLE_TEST], 7 * 30, 9 * 50);
}

/* ---- articles ---- */

static status check_article(void *arg, const char *path) {
    int64_t *totals = arg; /* sentences, those that begin with a pronoun */
    buf text = {0};
    TRY(file_read(path, 0, &text));
    assert_memory_equal(text.at, "# ", 2);
    const char *body = strchr(text.at, '\n') + 2;
    int n = 0;
    for (const char *s = body; *s; s++) {
        bool begins = s == body || (s[-1] == ' ' && s[-2] == '.') || s[-1] == '\n';
        if (!begins || *s == '\n') continue;
        n++;
        for (int i = 0; i < 6; i++) {
            const char *word = (const char *[]){"It ", "Its ", "He ", "His ", "She ", "Her "}[i];
            totals[1] += strncmp(s, word, strlen(word)) == 0;
        }
    }
    assert_in_range(n, 8, 25);
    assert_null(strchr(text.at, '{'));
    assert_null(strstr(text.at, "  "));
    assert_null(strstr(text.at, " a a"));
    totals[0] += n;
    buf_clear(&text);
    return OK;
}

static void articles_have_8_to_25_sentences_most_of_which_name_their_subject(void **state) {
    (void)state;
    int64_t totals[2] = {0};
    char *docs = xasprintf("%s/docs", shared_dir(NULL));
    status st = file_walk(docs, check_article, totals);
    free(docs);
    assert_int_equal(st, OK);
    assert_true(totals[1] > 0);
    assert_true(totals[1] * 100 < totals[0] * 30);
}

static void some_names_are_nearly_equal_and_none_are_equal(void **state) {
    (void)state;
    grammar *g;
    assert_int_equal(grammar_open(NULL, &g), OK);
    world *w = world_new(g, 20000, 3);
    int64_t n_near = 0;
    for (int64_t e = 0; e < w->n; e++) {
        assert_int_equal(world_find(w, w->entities[e].slug), e);
        n_near += w->entities[e].namesake >= 0;
    }
    assert_in_range(n_near * 100 / w->n, 10, 40);
    assert_int_equal(world_find(w, "no-such-thing"), -1);
    world_free(w);
    grammar_free(g);
}

/* ---- questions ---- */

static void answers_stand_in_the_last_evidence(void **state) {
    (void)state;
    const char *dir = shared_dir(NULL);
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        json_t *all = read_questions(dir, s), *q;
        size_t i;
        json_array_foreach(all, i, q) {
            bool is_answerable = !json_flag(q, "unanswerable", true);
            size_t n_docs = json_array_size(json_object_get(q, "documents"));
            assert_int_equal(n_docs, is_kind(q, "two_hop") ? 2 : 1);
            assert_int_equal(json_array_size(json_object_get(q, "answers")) > 0, is_answerable);
            assert_int_equal(is_kind(q, "unanswerable"), !is_answerable);
            char *text = read_text(dir, item_of(q, "documents", -1));
            if (is_answerable) {
                assert_non_null(strstr(text, item_of(q, "answers", 0)));
                assert_non_null(strstr(json_str(q, "full_answer", ""), item_of(q, "answers", 0)));
            }
            free(text);
        }
        json_decref(all);
    }
}

static void ids_are_unique_and_an_entity_stays_in_one_split(void **state) {
    (void)state;
    const char *dir = shared_dir(NULL);
    string_set ids = {0}, entities[SAMPLE_SPLITS] = {{0}};
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        json_t *all = read_questions(dir, s), *q;
        size_t i;
        json_array_foreach(all, i, q) {
            set_add(&ids, json_str(q, "id", ""));
            set_add(&entities[s], item_of(q, "documents", 0));
        }
        set_sort(&entities[s]);
        json_decref(all);
    }
    set_sort(&ids);
    for (int i = 1; i < ids.n; i++) assert_string_not_equal(ids.at[i - 1], ids.at[i]);
    assert_null(common(&entities[0], &entities[1]));
    assert_null(common(&entities[0], &entities[2]));
    assert_null(common(&entities[1], &entities[2]));
    set_clear(&ids);
    for (int s = 0; s < SAMPLE_SPLITS; s++) set_clear(&entities[s]);
}

/* The question with its subject's title replaced by a sign: what remains is its wording. */
static char *wording(const char *dir, const json_t *q) {
    char *text = read_text(dir, item_of(q, "documents", 0));
    char *title = text + 2;
    *strchr(title, '\n') = '\0';
    const char *question = json_str(q, "question", ""), *at = strstr(question, title);
    assert_non_null(at);
    char *out = xasprintf("%.*s*%s", (int)(at - question), question, at + strlen(title));
    free(text);
    return out;
}

static void training_never_sees_the_wordings_of_dev_and_test(void **state) {
    (void)state;
    const char *dir = shared_dir(NULL);
    string_set seen = {0}, held = {0};
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        json_t *all = read_questions(dir, s), *q;
        size_t i;
        json_array_foreach(all, i, q) {
            char *w = wording(dir, q);
            set_add(s == SAMPLE_TRAIN ? &seen : &held, w);
            free(w);
        }
        json_decref(all);
    }
    set_sort(&seen);
    set_sort(&held);
    const char *both = common(&seen, &held);
    if (both) print_error("in train and elsewhere: %s\n", both);
    assert_null(both);
    set_clear(&seen);
    set_clear(&held);
}

/* Two kinds whose values are so many that an answer tells which fact was asked. */
static const char many_values[] = "language l\n"
                                  "first Ba Be Bi Bo Bu Da De Di Do Du\n"
                                  "middle na ne ni no nu\n"
                                  "last ra re ri ro ru\n"
                                  "given_f a\n"
                                  "given_m o\n"
                                  "kind town 1\n"
                                  "name {N}\n"
                                  "short the town\n"
                                  "relation people always number 1 900000000 1\n"
                                  "say {X} has {V} people.\n"
                                  "ask How many people has {X}?\n"
                                  "hold What is the number of people of {X}?\n"
                                  "relation stones always number 1 900000000 1\n"
                                  "say {X} has {V} stones.\n"
                                  "ask How many stones has {X}?\n"
                                  "hold What is the number of stones of {X}?\n"
                                  "relation roofs always number 1 900000000 1\n"
                                  "say {X} has {V} roofs.\n"
                                  "ask How many roofs has {X}?\n"
                                  "hold What is the number of roofs of {X}?\n"
                                  "kind poet 1\n"
                                  "person\n"
                                  "name {G} {N}\n"
                                  "relation lines always number 1 900000000 1\n"
                                  "say {X} wrote {V} lines.\n"
                                  "ask How many lines did {X} write?\n"
                                  "hold What number of lines did {X} write?\n"
                                  "relation home always link town\n"
                                  "say {X} lived in {V}.\n"
                                  "ask Where did {X} live?\n"
                                  "hold In which town did {X} live?\n"
                                  "of the town where {X} lived\n"
                                  "of_hold the home of {X}\n"
                                  "back {Y} lived in {x}.\n";

static void facts_of_dev_and_test_are_asked_in_no_training_question(void **state) {
    (void)state;
    sample_report r;
    const char *dir = temp_path("facts");
    make(dir, 600, 5, temp_text("many.grammar", many_values), &r);
    string_set seen = {0}, held = {0};
    int n_two_hop = 0;
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        json_t *all = read_questions(dir, s), *q;
        size_t i;
        json_array_foreach(all, i, q) {
            if (json_flag(q, "unanswerable", false)) continue;
            char *asked = xasprintf("%s %s", item_of(q, "documents", -1), item_of(q, "answers", 0));
            set_add(s == SAMPLE_TRAIN ? &seen : &held, asked);
            free(asked);
            n_two_hop += s != SAMPLE_TRAIN && is_kind(q, "two_hop");
        }
        json_decref(all);
    }
    set_sort(&seen);
    set_sort(&held);
    assert_true(seen.n > 500 && held.n > 100);
    assert_true(n_two_hop > 10);
    assert_null(common(&seen, &held));
    set_clear(&seen);
    set_clear(&held);
}

/* ---- bad input ---- */

static void assert_fails(const char *dir, const char *rules, int64_t n, status code,
                         const char *say) {
    sample_report r = {.articles = -7};
    status st = sample_write(dir, &(sample_options){n, 1, rules}, &r);
    if (st != code || !strstr(err_msg(), say)) print_error("%s\nwanted: %s\n", err_msg(), say);
    assert_int_equal(st, code);
    assert_non_null(strstr(err_msg(), say));
    assert_int_equal(r.articles, -7); /* untouched on failure */
}

static void no_articles_are_refused(void **state) {
    (void)state;
    assert_fails(temp_path("none"), NULL, 0, ERR_ARG, "0 articles asked for, wanted 1");
    assert_false(file_exists(temp_path("none")));
}

static void one_article_is_enough(void **state) {
    (void)state;
    sample_report r;
    make(temp_path("one"), 1, 1, NULL, &r);
    assert_int_equal(r.articles, 1);
    assert_int_equal(r.two_hop, 0);
}

static void a_folder_that_cannot_be_made_is_named(void **state) {
    (void)state;
    const char *file = temp_text("a-file", "in the way\n");
    char *dir = xasprintf("%s/inside", file);
    assert_fails(dir, NULL, 10, ERR_IO, "a-file");
    free(dir);
}

static void foreign_files_among_the_articles_are_refused(void **state) {
    (void)state;
    sample_report r;
    make(temp_path("d"), 30, 1, NULL, &r);
    temp_text("d/docs/diary.md", "mine\n");
    assert_fails(temp_path("d"), NULL, 30, ERR_ARG, "diary.md is no article of this encyclopedia");
    char *kept = read_text(temp_path("d"), "docs/diary.md");
    assert_string_equal(kept, "mine\n");
    free(kept);
}

#define LANGUAGE "language l\nfirst Ba\nmiddle na\nlast ra\ngiven_f a\ngiven_m o\n"
#define TOWN     "kind town 1\nname {N}\nshort the town\n"
#define AGE                                                                                        \
    "relation age always number 1 9 1\nsay {X} is {V}.\nask How old is {X}?\nhold {X} is how "     \
    "old?\n"

static void a_wrong_grammar_is_refused_with_file_and_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *say;
    } cases[] = {
        {"", "bad.grammar: empty"},
        {"\xff\xfe", "bad.grammar: not text"},
        {"# nothing but words\n", "bad.grammar: no language in it"},
        {"first Ba\n", "bad.grammar:1: \"first\" is no keyword here (in no section)"},
        {"\n\ntable colour red | blue\n", "bad.grammar:3: table colour: wanted"},
        {"table colour = red || blue\n", "bad.grammar:1: table colour has an empty entry"},
        {"kind town many\n", "bad.grammar:1: the kind's share is \"many\", wanted a whole number"},
        {"kind town 0\n", "bad.grammar:1: the share of kind town is 0, wanted 1 to 1000000"},
        {"relation age number 1 2 3\n", "bad.grammar:1: a relation stands outside of a kind"},
        {TOWN "relation age weight 3\n",
         "bad.grammar:4: relation age has values of type \"weight\""},
        {TOWN "relation age year 9 1\n",
         "bad.grammar:4: the range 9 to 1 of relation age is empty"},
        {TOWN AGE "age\n", "bad.grammar:8: \"age\" is no keyword here (in a relation)"},
        {TOWN "say hello\n", "bad.grammar:4: \"say\" is no keyword here (in a kind)"},
        {TOWN "relation mayor always link person\n" LANGUAGE,
         "bad.grammar:4: there is no kind called person"},
        {TOWN "relation hue one colour\n" LANGUAGE,
         "bad.grammar:4: there is no table called colour"},
        {TOWN AGE "say It is {V}.\n" LANGUAGE, "bad.grammar:4: \"It is {V}.\" has no {X}"},
        {TOWN AGE "say {X} is {V\n" LANGUAGE, "bad.grammar:4: a brace is left open"},
        {TOWN AGE "ask Is {X} {color}?\n" LANGUAGE, "bad.grammar:4: nothing is called {color}"},
        {TOWN "relation age always year after born 1 2\n" LANGUAGE,
         "bad.grammar:4: kind town has no year or date called born"},
        {TOWN "relation age always year after age 1 2\n" LANGUAGE,
         "bad.grammar:4: the years of age follow themselves"},
        {TOWN "relation age always number 1 9 1\n" LANGUAGE,
         "bad.grammar:4: relation age needs at least one say"},
        {TOWN AGE "ask {X} is how old?\n" LANGUAGE,
         "bad.grammar:4: \"{X} is how old?\" is kept for dev and test, but line 4 uses it"},
        {TOWN LANGUAGE, "bad.grammar:1: kind town needs at least one name"},
        {TOWN AGE "language l\nfirst Ba\n", "bad.grammar:1: language l needs first, middle"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = temp_text("bad.grammar", cases[i].text);
        assert_fails(temp_path("bad"), path, 10, ERR_FORMAT, cases[i].say);
    }
    assert_fails(temp_path("bad"), temp_path("absent.grammar"), 10, ERR_IO, "absent.grammar");
    assert_false(file_exists(temp_path("bad")));
}

int main(void) {
    log_level_set(LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_the_same_bytes),
        cmocka_unit_test(as_many_files_as_articles),
        cmocka_unit_test(most_are_one_hop_an_eighth_unanswerable_and_a_few_two_hop),
        cmocka_unit_test(articles_have_8_to_25_sentences_most_of_which_name_their_subject),
        cmocka_unit_test(some_names_are_nearly_equal_and_none_are_equal),
        cmocka_unit_test(answers_stand_in_the_last_evidence),
        cmocka_unit_test(ids_are_unique_and_an_entity_stays_in_one_split),
        cmocka_unit_test(training_never_sees_the_wordings_of_dev_and_test),
        cmocka_unit_test(facts_of_dev_and_test_are_asked_in_no_training_question),
        cmocka_unit_test(no_articles_are_refused),
        cmocka_unit_test(one_article_is_enough),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
        cmocka_unit_test(foreign_files_among_the_articles_are_refused),
        cmocka_unit_test(a_wrong_grammar_is_refused_with_file_and_line),
    };
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
