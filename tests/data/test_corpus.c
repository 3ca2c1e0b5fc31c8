/* The corpus: passages, documents and titles as the store has them, and where answers stand. */
#include <math.h>

#include "cmocka_all.h"
#include "data/collection.h"

static const doc docs[] = {
    {"a", "Harbours", "the harbour of Belmora has two lighthouses and a long pier of grey stone"},
    {"b", "", "   "},
    {"c", "Rivers of the north",
     "the river Orlen ends in the harbour of Belmora, where the grey ferries wait"},
};

static collection harbours(void) {
    return collection_new(docs, 3, NULL, 0, 400, 8);
}

static void passages_are_those_of_the_store_in_order(void **state) {
    (void)state;
    collection k = harbours();
    corpus *c = k.c;
    assert_int_equal(c->n_documents, 3);
    int64_t passage = 0;
    for (int64_t d = 0; d < c->n_documents; d++) {
        span of = corpus_document(c, c->document_key[d]);
        if (d == 1) { /* a blank document */
            assert_int_equal(of.begin, of.end);
            continue;
        }
        assert_int_equal(of.begin, passage);
        buf text = {0};
        for (; passage < of.end; passage++) {
            assert_int_equal(c->document[passage], c->document_key[d]);
            assert_int_equal(c->ordinal[passage], passage - of.begin);
            assert_int_equal(corpus_find(c, c->id[passage]), passage);
            assert_in_range(c->text[passage].end - c->text[passage].begin, 1, 8);
            tokens_text(k.t, c->tokens + c->text[passage].begin,
                        c->text[passage].end - c->text[passage].begin, &text, NULL);
            span t = c->title[passage];
            buf title = {0};
            tokenizer_decode(k.t, c->tokens + t.begin, t.end - t.begin, &title);
            assert_string_equal(title.at, docs[d].title);
            buf_clear(&title);
        }
        assert_true(of.end - of.begin > 1);
        assert_string_equal(text.at + 1, docs[d].text); /* behind the first word's blank */
        buf_clear(&text);
    }
    assert_int_equal(passage, c->n);
    assert_int_equal(corpus_find(c, c->id[c->n - 1] + 1), -1);
    assert_int_equal(corpus_document(c, 999).end, 0);
    collection_free(&k);
}

static void neighbours_stay_within_the_document(void **state) {
    (void)state;
    collection k = harbours();
    corpus *c = k.c;
    int64_t ids[4];
    span first = corpus_document(c, c->document_key[0]);
    int64_t last = first.end - 1;
    assert_int_equal(corpus_neighbours(c, c->id[0], 1, ids), 1);
    assert_int_equal(ids[0], c->id[1]);
    assert_int_equal(corpus_neighbours(c, c->id[last], 1, ids), 1);
    assert_int_equal(ids[0], c->id[last - 1]);
    assert_int_equal(corpus_neighbours(c, c->id[1], 2, ids), last >= 3 ? 3 : (int)last);
    assert_int_equal(corpus_neighbours(c, -7, 2, ids), 0);
    collection_free(&k);
}

static void idf_counts_each_passage_once(void **state) {
    (void)state;
    static const doc two[] = {{"a", "", "x y x"}, {"b", "", "x z"}};
    collection k = collection_new(two, 2, NULL, 0, 400, 8);
    float *idf = corpus_idf(k.c, tokenizer_size(k.t));
    int32_t x = tokenizer_find(k.t, "\xe2\x96\x81x"), z = tokenizer_find(k.t, "\xe2\x96\x81z");
    assert_true(x > 0 && z > 0);
    assert_float_equal(idf[x], 1 + log(3.0 / 2), 1e-6); /* in both, however often */
    assert_float_equal(idf[z], 1 + log(3.0), 1e-6);
    assert_float_equal(idf[TOKEN_BOS], 1 + log(3.0), 1e-6); /* in none: as the rarest */
    free(idf);
    collection_free(&k);
}

/* ---- answers ---- */

/* One passage a text; the alphabet is all that the tokenizer knows, so that nearly every
 * character is a token and token edges hide no mistake. */
static const doc answers[] = {
    {"words", "", "a scattered cat concatenates the cat, cats"},
    {"case", "", "they march on in March with OSLO behind"},
    {"accents", "", "une ÉCOLE nationale à Łódź et une école"},
    {"blanks", "", "flights to New\n   York leave daily"},
    {"unseen bytes", "", "a snowman \xe2\x98\x83\xe2\x98\x83 and \xe6\x97\xa5\xe6\x9c\xac end"},
    {"edges", "", "1,234 men (the Order) won"},
};
enum { N_ANSWERS = sizeof answers / sizeof *answers };

/* The first answer's place in passage `name`: what it says, and the text in front of it. */
static void check(const collection *k, const char *name, const char *answer, const char *want,
                  const char *before) {
    int64_t i = 0;
    while (strcmp(answers[i].id, name) != 0) i++;
    span found = corpus_find_answer(k->c, k->t, i, (char *const[]){(char *)answer}, 1);
    if (!want) {
        assert_int_equal(found.end, 0);
        return;
    }
    if (found.end == 0) fail_msg("'%s' was not found in '%s'", answer, answers[i].text);
    assert_string_equal(said(k, i, found), want);
    assert_string_equal(said(k, i, (span){0, found.begin}), before);
}

static void answers_are_found_as_whole_words(void **state) {
    (void)state;
    collection k = collection_new(answers, N_ANSWERS, NULL, 0, 320, 200);
    assert_int_equal(k.c->n, N_ANSWERS);
    check(&k, "words", "cat", "cat", "a scattered");
    check(&k, "words", "cats", "cats", "a scattered cat concatenates the cat,");
    check(&k, "words", "the cat", "the cat", "a scattered cat concatenates");
    check(&k, "words", "catenate", NULL, NULL);
    check(&k, "words", "dog", NULL, NULL);
    check(&k, "words", "", NULL, NULL);
    check(&k, "edges", "Order", "Order", "1,234 men (the");
    check(&k, "edges", "234", "234", "1,");
    check(&k, "edges", "34", NULL, NULL);
    collection_free(&k);
}

static void exact_case_goes_before_any_case(void **state) {
    (void)state;
    collection k = collection_new(answers, N_ANSWERS, NULL, 0, 320, 200);
    check(&k, "case", "March", "March", "they march on in");
    check(&k, "case", "march", "march", "they");
    check(&k, "case", "Oslo", "OSLO", "they march on in March with");
    check(&k, "accents", "école", "école", "une ÉCOLE nationale à Łódź et une");
    check(&k, "accents", "École Nationale", "ÉCOLE nationale", "une");
    check(&k, "accents", "łódź", "Łódź", "une ÉCOLE nationale à");
    check(&k, "accents", "cole", NULL, NULL); /* É is a letter of that word */
    collection_free(&k);
}

static void blanks_of_an_answer_do_not_matter(void **state) {
    (void)state;
    collection k = collection_new(answers, N_ANSWERS, NULL, 0, 320, 200);
    check(&k, "blanks", " New York ", "New York", "flights to");
    check(&k, "blanks", "New\t\nYork", "New York", "flights to");
    check(&k, "blanks", "NewYork", NULL, NULL);
    collection_free(&k);
}

static void answers_spelled_in_bytes_are_found_whole(void **state) {
    (void)state;
    collection k = collection_new(answers, N_ANSWERS, NULL, 0, 320, 200);
    check(&k, "unseen bytes", "\xe2\x98\x83\xe2\x98\x83", "\xe2\x98\x83\xe2\x98\x83", "a snowman");
    check(&k, "unseen bytes", "\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac",
          "a snowman \xe2\x98\x83\xe2\x98\x83 and");
    check(&k, "unseen bytes", "AND", "and", "a snowman \xe2\x98\x83\xe2\x98\x83");
    collection_free(&k);
}

static void the_first_answer_that_is_there_counts(void **state) {
    (void)state;
    collection k = collection_new(answers, N_ANSWERS, NULL, 0, 320, 200);
    char *const list[] = {"dog", "concatenates", "cat"};
    span found = corpus_find_answer(k.c, k.t, 0, list, 3);
    assert_string_equal(said(&k, 0, found), "concatenates");
    assert_int_equal(corpus_find_answer(k.c, k.t, 0, list, 1).end, 0);
    collection_free(&k);
}

/* With words as tokens, part of a token is no place for an answer. */
static void answers_end_where_tokens_do(void **state) {
    (void)state;
    static const doc one[] = {{"a", "", "re-entry re-entry re-entry re-entry"}};
    collection k = collection_new(one, 1, NULL, 0, 2000, 200);
    span found = corpus_find_answer(k.c, k.t, 0, (char *const[]){"re-entry"}, 1);
    assert_string_equal(said(&k, 0, found), "re-entry");
    span part = corpus_find_answer(k.c, k.t, 0, (char *const[]){"re"}, 1);
    if (part.end) assert_string_equal(said(&k, 0, part), "re");
    collection_free(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_are_those_of_the_store_in_order),
        cmocka_unit_test(neighbours_stay_within_the_document),
        cmocka_unit_test(idf_counts_each_passage_once),
        cmocka_unit_test(answers_are_found_as_whole_words),
        cmocka_unit_test(exact_case_goes_before_any_case),
        cmocka_unit_test(blanks_of_an_answer_do_not_matter),
        cmocka_unit_test(answers_spelled_in_bytes_are_found_whole),
        cmocka_unit_test(the_first_answer_that_is_there_counts),
        cmocka_unit_test(answers_end_where_tokens_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
