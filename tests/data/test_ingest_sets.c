/* Ingest of the field's data sets: TriviaQA, NQ-open, DPR, BEIR, on small files made here and on
 * real samples. Counts are "added unchanged replaced skipped". */
#include "ingest_help.h"

/* ---- TriviaQA ---- */

#define TRIVIA(split, id, pages)                                                                   \
    "{\"Data\": [{\"Question\": \"Who?\", \"QuestionId\": \"" id "\", \"Answer\": {\"Value\": "    \
    "\"Ada\", \"Aliases\": [\"Lady A\", \"Ada\"]}, " pages "}], \"Split\": \"" split "\"}"

static void triviaqa_takes_the_evidence_that_questions_name(void **state) {
    (void)state;
    put_file("trivia/qa/wikipedia.json",
             TRIVIA("dev", "t1",
                    "\"EntityPages\": [{\"Filename\": \"Ada.txt\", \"Title\": \"Ada L.\"}]"));
    put_file("trivia/qa/web.json",
             TRIVIA("dev", "t1",
                    "\"SearchResults\": [{\"Filename\": \"0/0_1.txt\", \"Title\": "
                    "\"A page\"}, {\"Title\": \"no file\"}]"));
    put_file("trivia/evidence/wikipedia/Ada.txt", "Ada wrote notes.");
    put_file("trivia/evidence/wikipedia/Bab.txt", "Nobody asks about this.");
    put_file("trivia/evidence/web/0/0_1.txt", "A page on Ada.");
    took t = ingest_path_as_is(temp_path("trivia"));
    assert_string_equal(counts(t.documents), "2 0 0 0");
    assert_string_equal(counts(t.questions), "1 0 1 0");
    store_question q = question("t1");
    assert_int_equal(q.split, SPLIT_DEV); /* which stands behind the questions */
    assert_string_equal(q.answers, "[\"Ada\", \"Lady A\"]");
    assert_string_equal(q.documents,
                        "[\"evidence/web/0/0_1.txt\", \"evidence/wikipedia/Ada.txt\"]");
    assert_string_equal(document_at("evidence/wikipedia/Ada.txt").title, "Ada L.");
    assert_string_equal(document_at("evidence/web/0/0_1.txt").text, "A page on Ada.");
    t = ingest_path_as_is(temp_path("trivia"));
    assert_string_equal(counts(t.documents), "0 2 0 0");
    assert_string_equal(counts(t.questions), "0 2 0 0");
}

static void triviaqa_finds_names_that_differ_in_case_or_composition(void **state) {
    (void)state;
    put_file("linux/evidence/wikipedia/caf\xC3\xA9_PARIS.txt", "composed");
    put_file("linux/evidence/wikipedia/Cafe\xCC\x81_Rome.txt", "decomposed");
    const char *path = put_file(
        "linux/train.json", TRIVIA("train", "t2",
                                   "\"EntityPages\": [{\"Filename\": \"Cafe\xCC\x81_Paris.txt\"}, "
                                   "{\"Filename\": \"Caf\xC3\xA9_Rome.txt\"}]"));
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "2 0 0 0");
    assert_string_equal(document_at("evidence/wikipedia/Cafe\xCC\x81_Paris.txt").text, "composed");
    assert_string_equal(document_at("evidence/wikipedia/Caf\xC3\xA9_Rome.txt").text, "decomposed");
}

static void triviaqa_says_once_what_evidence_is_missing(void **state) {
    (void)state;
    const char *path =
        put_file("missing/unfiltered-web-test-without-answers.json",
                 "{\"Data\": [{\"Question\": \"Who?\", \"QuestionId\": \"t3\", \"SearchResults\": "
                 "[{\"Filename\": \"1.txt\"}, {\"Filename\": \"2.txt\"}, {\"Filename\": "
                 "\"../../etc/x\"}]}]}");
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "0 0 0 2");
    assert_string_equal(counts(t.questions), "1 0 0 0");
    assert_int_equal(t.n_skips, 1);
    assert_non_null(strstr(t.reason, "2 evidence files missing, the first is "));
    assert_non_null(strstr(t.reason, "missing/../evidence/web/1.txt"));
    assert_int_equal(question("t3").split, SPLIT_TEST);
    assert_string_equal(question("t3").answers, "[]");
}

static void the_triviaqa_sample_is_read_whole(void **state) {
    (void)state;
    const char *path = real_data("triviaqa/rc_sample");
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "19 0 0 0");
    assert_string_equal(counts(t.questions), "9 2 0 0");
    store_question q = question("tc_3");
    assert_string_equal(q.question, "Where in England was Dame Judi Dench born?");
    assert_non_null(strstr(q.documents, "\"evidence/wikipedia/Judi_Dench.txt\""));
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.questions[SPLIT_TRAIN] + n.questions[SPLIT_DEV], 9);
    t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "0 19 0 0");
    assert_string_equal(counts(t.questions), "0 11 0 0");
}

static void questions_of_unfiltered_triviaqa_are_kept_without_evidence(void **state) {
    (void)state;
    took t = ingest_path_as_is(real_data("triviaqa/unfiltered_nocontext_sample"));
    assert_int_equal(t.st, OK);
    assert_int_equal(t.documents.added, 0);
    assert_int_equal(t.n_skips, 3); /* one sentence a file */
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_true(n.questions[SPLIT_TRAIN] > 0 && n.questions[SPLIT_DEV] > 0 &&
                n.questions[SPLIT_TEST] > 0);
}

/* ---- NQ-open ---- */

static void nq_open_lines_are_questions(void **state) {
    (void)state;
    took t = ingest_path_as_is(temp_text("NQ-open.dev.jsonl",
                                         "{\"question\": \"who\", \"answer\": [\"a\", \"b\"]}\n"
                                         "{\"question\": \"why\", \"answer\": [\"c\"]}\n{\n"));
    assert_string_equal(counts(t.questions), "2 0 0 1");
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.questions[SPLIT_DEV], 2);
}

static void the_nq_open_files_are_read_whole(void **state) {
    (void)state;
    took t = ingest_path_as_is(real_data("nq_open/NQ-open.dev.part1.jsonl.gz"));
    assert_int_equal(t.questions.added + t.questions.unchanged + t.questions.replaced, 1805);
    assert_int_equal(t.questions.skipped, 0);
    t = ingest_path_as_is(real_data("nq_open/NQ-open.dev.part1.jsonl.gz"));
    assert_string_equal(counts(t.questions), "0 1805 0 0");
}

/* ---- DPR ---- */

static const char sample[] =
    "{\"question\": \"who?\", \"answers\": [\"me\"], \"positive_ctxs\": [{\"title\": \"T\", "
    "\"text\": \"It was me.\", \"passage_id\": \"7\"}, {\"title\": null, \"text\": \"Me.\"}], "
    "\"hard_negative_ctxs\": [{\"title\": \"U\", \"text\": \"Not you.\", \"passage_id\": 8}]}";

static void check_dpr_sample(const char *path) {
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "3 0 0 0");
    assert_string_equal(counts(t.questions), "1 0 0 0");
    assert_string_equal(document("7").title, "T");
    assert_string_equal(document("8").text, "Not you.");
    /* sha1 of "Me." */
    const char *documents = "[\"7\", \"6f404cbb27cfc0f48ed0e8763dd23b9cbb92c8a7\"]";
    store_question q = {.question = "who?", .documents = documents};
    int64_t *keys, n, missing;
    assert_int_equal(store_question_documents(home, &q, memory, &keys, &n, &missing), OK);
    assert_string_equal(counts(ingest_path_as_is(path).questions), "0 1 0 0");
}

static void dpr_contexts_become_documents(void **state) {
    (void)state;
    char array[1024];
    snprintf(array, sizeof array, "[%s]", sample);
    check_dpr_sample(temp_text("train.json", array));
}

static void dpr_json_lines_are_the_same(void **state) {
    (void)state;
    check_dpr_sample(temp_text("train.jsonl", sample));
}

static void retrieved_contexts_that_hold_the_answer_are_positive(void **state) {
    (void)state;
    const char *path = temp_text(
        "result.json", "[{\"id\": \"r\", \"question\": \"who?\", \"answers\": [\"me\"], \"ctxs\": "
                       "[{\"id\": \"wiki:1\", \"title\": \"A\", \"text\": \"you\", \"has_answer\": "
                       "false}, {\"id\": \"wiki:2\", \"title\": \"B\", \"text\": \"me\", "
                       "\"has_answer\": true, \"score\": \"80.1\"}]}]");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "2 0 0 0");
    assert_string_equal(question("r").documents, "[\"wiki:2\"]");
}

static void dpr_passages_are_documents_by_their_number(void **state) {
    (void)state;
    const char *path =
        temp_text("psgs_w100.tsv", "id\ttext\ttitle\n1\t\"Aaron (or \"\"Aharon\"\") is\"\tAaron\n"
                                   "2\tplain text\t\"The \"\"B\"\"\"\n3\n");
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "2 0 0 1");
    assert_string_equal(document("1").text, "Aaron (or \"Aharon\") is");
    assert_string_equal(document("2").title, "The \"B\"");
    assert_string_equal(t.reason, "line 4: wanted id, text and title, parted by tabs");
}

/* The same questions as tab-separated lines and, unquoted by their publisher, as JSON lines. */
static void same_questions(const char *tsv, const char *jsonl) {
    took t = ingest_path_as_is(real_data(tsv));
    assert_int_equal(t.questions.skipped, 0);
    int64_t n = t.questions.added + t.questions.unchanged + t.questions.replaced;
    assert_true(n > 5000);
    t = ingest_path_as_is(real_data(jsonl));
    assert_int_equal(t.questions.unchanged, n); /* question, answers and split */
    assert_int_equal(t.questions.added + t.questions.replaced + t.questions.skipped, 0);
}

static void dpr_questions_in_lists_of_python_are_those_in_json(void **state) {
    (void)state;
    same_questions("triviaqa/dpr/trivia-dev.tsv.gz", "triviaqa/dpr/trivia-dev.jsonl.gz");
    same_questions("triviaqa/dpr/trivia-test.part1.tsv.gz",
                   "triviaqa/dpr/trivia-test.part1.jsonl.gz");
    same_questions("nq_open/dpr.nq-dev.tsv.gz", "nq_open/dpr.nq-dev.jsonl.gz");
}

static void the_dpr_training_sample_is_read_whole(void **state) {
    (void)state;
    took t = ingest_path_as_is(real_data("formats/dpr_train/sample.json"));
    assert_string_equal(counts(t.questions), "5 0 0 0");
    assert_int_equal(t.documents.skipped, 0);
    assert_true(t.documents.added > 700);
}

/* ---- BEIR ---- */

static void a_beir_folder_is_read_as_a_whole(void **state) {
    (void)state;
    put_file("beir/corpus.jsonl", "{\"_id\": \"d1\", \"title\": \"One\", \"text\": \"first\", "
                                  "\"metadata\": {\"url\": \"u\"}}\n"
                                  "{\"_id\": \"d2\", \"title\": \"Two\", \"text\": \"\"}\n"
                                  "{\"_id\": \"d3\", \"title\": \"\", \"text\": \"\"}\n");
    put_file("beir/queries.jsonl", "{\"_id\": \"q1\", \"text\": \"one?\"}\n"
                                   "{\"_id\": \"q2\", \"text\": \"two?\"}\n"
                                   "{\"_id\": \"q3\", \"text\": \"unjudged?\"}\n");
    put_file("beir/qrels/test.tsv",
             "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td1\t2\nq1\td3\t0\n");
    put_file("beir/qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq2\td2\t1\nq1\td3\t1\n");
    took t = ingest_path_as_is(temp_path("beir"));
    assert_string_equal(counts(t.documents), "2 0 0 1");
    assert_string_equal(counts(t.questions), "2 0 0 1");
    assert_string_equal(document("d1").title, "One");
    assert_string_equal(document("d2").text, "Two"); /* of its title */
    assert_int_equal(question("q1").split, SPLIT_TEST);
    assert_string_equal(question("q1").documents, "[\"d1\", \"d2\"]");
    assert_int_equal(question("q2").split, SPLIT_DEV);
    t = ingest_path_as_is(temp_path("beir"));
    assert_string_equal(counts(t.documents), "0 2 0 1");
    assert_string_equal(counts(t.questions), "0 2 0 1");
}

static void beir_files_alone_know_their_folder(void **state) {
    (void)state;
    put_file("alone/queries.jsonl", "{\"_id\": \"q9\", \"text\": \"one?\"}\n");
    put_file("alone/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq9\td2\t1\n");
    took t = ingest_path_as_is(temp_path("alone/queries.jsonl"));
    assert_string_equal(counts(t.questions), "1 0 0 0");
    assert_string_equal(question("q9").documents, "[\"d2\"]");
    t = ingest_path_as_is(temp_path("alone/qrels/test.tsv"));
    assert_string_equal(counts(t.documents), "0 0 0 0");
    assert_non_null(strstr(t.reason, "judgements are read with their set"));
}

static void the_cranfield_collection_is_read_whole(void **state) {
    (void)state;
    took t = ingest_path_as_is(real_data("cranfield/beir"));
    assert_string_equal(counts(t.documents), "1398 0 0 2"); /* 471 and 995 are empty */
    assert_string_equal(counts(t.questions), "225 0 0 0");
    assert_int_equal(question("1").split, SPLIT_TEST);
}

static void the_wikipedia_passages_are_read_whole(void **state) {
    (void)state;
    took t = ingest_path_as_is(real_data("wiki18_openqa"));
    assert_int_equal(t.documents.added, 6480 + 1); /* and the README */
    assert_int_equal(t.questions.added + t.questions.unchanged + t.questions.skipped,
                     502 + 476 + 750 + 101);
    assert_int_equal(t.questions.skipped, 143); /* two of its files give out the same ids */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(triviaqa_takes_the_evidence_that_questions_name),
        test(triviaqa_finds_names_that_differ_in_case_or_composition),
        test(triviaqa_says_once_what_evidence_is_missing),
        test(the_triviaqa_sample_is_read_whole),
        test(questions_of_unfiltered_triviaqa_are_kept_without_evidence),
        test(nq_open_lines_are_questions),
        test(the_nq_open_files_are_read_whole),
        test(dpr_contexts_become_documents),
        test(dpr_json_lines_are_the_same),
        test(retrieved_contexts_that_hold_the_answer_are_positive),
        test(dpr_passages_are_documents_by_their_number),
        test(dpr_questions_in_lists_of_python_are_those_in_json),
        test(the_dpr_training_sample_is_read_whole),
        test(a_beir_folder_is_read_as_a_whole),
        test(beir_files_alone_know_their_folder),
        test(the_cranfield_collection_is_read_whole),
        test(the_wikipedia_passages_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
