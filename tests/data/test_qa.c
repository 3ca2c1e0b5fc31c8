/* Questions with the passages that answer them. */
#include "cmocka_all.h"
#include "data/collection.h"

static const doc docs[] = {
    {"orlen", "Orlen", "The Orlen is a river. It was mapped by Ada Quill in 1820."},
    {"belmora", "Belmora", "Belmora is a harbour at the river Orlen."},
    {"quill", "Ada Quill", "Ada Quill was a painter; she died in 1851 in Belmora."},
};
enum { N_DOCS = 3 };

enum { MOST = 8 };

/* A passage a document; all questions in split test, of which nothing is taken for dev. */
static collection with(const store_question *q, int n) {
    store_question marked[MOST];
    memcpy(marked, q, (size_t)n * sizeof *q);
    for (int i = 0; i < n; i++) marked[i].split = SPLIT_TEST;
    return collection_new(docs, N_DOCS, marked, n, 400, 64);
}

static const qa *find(const qa_set *set, const char *id) {
    for (int64_t i = 0; i < set->n; i++)
        if (!strcmp(set->at[i].id, id)) return &set->at[i];
    fail_msg("no question %s", id);
    return NULL;
}

/* The relevant passages' documents as letters, "ob": orlen and belmora. */
static const char *relevant(const qa_set *set, const char *id) {
    static char letters[N_DOCS + 1];
    const qa *q = find(set, id);
    size_t n = 0;
    for (int64_t i = 0; i < N_DOCS; i++)
        if (qa_is_relevant(set, q, i)) letters[n++] = docs[i].id[0];
    letters[n] = 0;
    assert_int_equal(q->relevant.end - q->relevant.begin, n);
    return letters;
}

static void named_documents_are_the_only_ones_to_answer(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "own", .question = "who?", .answers = "[\"Ada Quill\"]", .documents = "[\"orlen\"]"},
        {.id = "both",
         .question = "who?",
         .answers = "[\"ada quill\", \"nobody\"]",
         .documents = "[\"orlen\", \"quill\"]"},
        {.id = "elsewhere",
         .question = "when?",
         .answers = "[\"1851\"]",
         .documents = "[\"orlen\"]"},
        {.id = "whole", .question = "what of it?", .documents = "[\"belmora\"]"},
        {.id = "hops",
         .question = "when did who mapped the Orlen die?",
         .kind = "two_hop",
         .answers = "[\"Ada Quill\"]",
         .documents = "[\"orlen\", \"quill\"]"},
    };
    collection k = with(q, 5);
    qa_set *set = questions_of(&k, SPLIT_TEST, 0);
    assert_int_equal(set->n, 5);
    assert_string_equal(relevant(set, "own"), "o");
    assert_string_equal(relevant(set, "both"), "oq");
    assert_string_equal(relevant(set, "elsewhere"), "");
    assert_string_equal(relevant(set, "whole"), "b"); /* no answers: all its document's passages */
    assert_string_equal(relevant(set, "hops"), "q");  /* where the last hop ends */
    assert_int_equal(set->n_without, 1);
    assert_int_equal(set->n_relevant, 5);
    assert_int_equal(find(set, "both")->n_answers, 2);
    qa_set_free(set);
    collection_free(&k);
}

static void without_documents_any_passage_may_answer(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "one word", .question = "where?", .answers = "[\"Belmora\"]"},
        {.id = "two words", .question = "who?", .answers = "[\"ADA quill\"]"},
        {.id = "three words", .question = "what?", .answers = "[\"is a river\"]"},
        {.id = "nowhere", .question = "what?", .answers = "[\"is a rivers\", \"Bel\"]"},
        {.id = "same place", .question = "what?", .answers = "[\"Orlen\", \"the river\"]"},
    };
    collection k = with(q, 5);
    qa_set *set = questions_of(&k, SPLIT_TEST, 0);
    assert_string_equal(relevant(set, "one word"), "bq");
    assert_string_equal(relevant(set, "two words"), "oq");
    assert_string_equal(relevant(set, "three words"), "o");
    assert_string_equal(relevant(set, "nowhere"), "");
    assert_string_equal(relevant(set, "same place"), "ob");
    assert_int_equal(set->n_without, 1);
    qa_set_free(set);
    collection_free(&k);
}

static void unanswerable_questions_have_no_passage_and_miss_none(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "u", .question = "who?", .unanswerable = true, .documents = "[\"orlen\"]"},
        {.id = "plausible", .question = "who?", .unanswerable = true, .answers = "[\"Ada Quill\"]"},
        {.id = "open", .question = "who knows?"},
    };
    collection k = with(q, 3);
    qa_set *set = questions_of(&k, SPLIT_TEST, 0);
    assert_string_equal(relevant(set, "u"), "");
    assert_string_equal(relevant(set, "plausible"), "");
    assert_string_equal(relevant(set, "open"), "");
    assert_int_equal(set->n_without, 0);
    assert_true(find(set, "u")->unanswerable);
    assert_false(find(set, "open")->has_judgement);
    qa_set_free(set);
    collection_free(&k);
}

static void answers_without_any_token_are_left_out(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "mixed", .question = "who?", .answers = "[\" \", \"Ada Quill\", \"\"]"},
        {.id = "blank", .question = "who?", .answers = "[\" \\n\"]"},
        {.id = "blank, own", .question = "?", .answers = "[\"\"]", .documents = "[\"orlen\"]"},
    };
    collection k = with(q, 3);
    qa_set *set = questions_of(&k, SPLIT_TEST, 0);
    assert_int_equal(set->n_dropped, 4);
    assert_int_equal(find(set, "mixed")->n_answers, 1);
    assert_string_equal(find(set, "mixed")->answers[0], "Ada Quill");
    assert_string_equal(relevant(set, "mixed"), "oq");
    assert_int_equal(find(set, "blank")->n_answers, 0);
    assert_false(find(set, "blank")->has_judgement);
    assert_string_equal(relevant(set, "blank, own"), "o"); /* as one without answers */
    qa_set_free(set);
    collection_free(&k);
}

static void questions_are_tokenised_and_may_be_empty(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "1", .question = "where is Belmora?", .kind = "one_hop", .full_answer = "There."},
        {.id = "2", .question = " "},
        {.id = "3", .question = "a river"},
    };
    collection k = with(q, 3);
    qa_set *set = questions_of(&k, SPLIT_TEST, 0);
    int64_t at = 0;
    for (int64_t i = 0; i < set->n; i++) {
        span s = set->at[i].tokens;
        assert_int_equal(s.begin, at);
        at = s.end;
        buf text = {0};
        tokenizer_decode(k.t, set->tokens + s.begin, s.end - s.begin, &text);
        assert_string_equal(text.at ? text.at : "", i == 1 ? "" : q[i].question);
        buf_clear(&text);
    }
    assert_string_equal(find(set, "1")->kind, "one_hop");
    assert_string_equal(find(set, "1")->full_answer, "There.");
    assert_string_equal(find(set, "3")->kind, "");
    qa_set_free(set);
    collection_free(&k);
}

static void a_limit_takes_the_first_questions(void **state) {
    (void)state;
    const store_question q[] = {
        {.id = "1", .question = "x", .answers = "[\"Belmora\"]"},
        {.id = "2", .question = "y", .answers = "[\"Orlen\"]"},
        {.id = "3", .question = "z", .answers = "[\"1820\"]"},
    };
    collection k = with(q, 3);
    qa_set *set = questions_of(&k, SPLIT_TEST, 2);
    assert_int_equal(set->n, 2);
    assert_string_equal(set->at[1].id, "2");
    assert_string_equal(relevant(set, "2"), "ob");
    qa_set_free(set);
    collection_free(&k);
}

/* 200 questions about three documents, none marked dev: a tenth of the documents' questions is
 * served as dev and no longer as train, test stays as it is. */
static void a_tenth_of_train_serves_as_dev(void **state) {
    (void)state;
    enum { N = 200 };
    store_question q[N + 1];
    char *made[N];
    for (int i = 0; i < N; i++) {
        made[i] = xasprintf("q%d", i);
        q[i] = (store_question){.id = made[i], .question = made[i], .answers = "[\"Belmora\"]"};
    }
    q[N] = (store_question){.id = "t", .question = "t", .split = SPLIT_TEST};
    collection k = collection_new(docs, N_DOCS, q, N + 1, 400, 64);
    qa_set *train = questions_of(&k, SPLIT_TRAIN, 0), *dev = questions_of(&k, SPLIT_DEV, 0),
           *test = questions_of(&k, SPLIT_TEST, 0);
    assert_int_equal(train->n + dev->n, N);
    assert_in_range(dev->n, 8, 40);
    assert_int_equal(test->n, 1);
    for (int64_t i = 0; i < dev->n; i++)
        for (int64_t j = 0; j < train->n; j++)
            assert_string_not_equal(dev->at[i].id, train->at[j].id);
    qa_set_free(train);
    qa_set_free(dev);
    qa_set_free(test);
    collection_free(&k);
    for (int i = 0; i < N; i++) free(made[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_documents_are_the_only_ones_to_answer),
        cmocka_unit_test(without_documents_any_passage_may_answer),
        cmocka_unit_test(unanswerable_questions_have_no_passage_and_miss_none),
        cmocka_unit_test(answers_without_any_token_are_left_out),
        cmocka_unit_test(questions_are_tokenised_and_may_be_empty),
        cmocka_unit_test(a_limit_takes_the_first_questions),
        cmocka_unit_test(a_tenth_of_train_serves_as_dev),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
