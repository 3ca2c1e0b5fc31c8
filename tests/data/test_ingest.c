/* Ingest: what any format has in common. Counts are "added unchanged replaced skipped". */
#include "ingest_help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- twice, changed, duplicate ---- */

static void the_same_file_twice_is_unchanged(void **state) {
    (void)state;
    const char *path = temp_text("a.jsonl", "{\"id\": \"d\", \"text\": \"one\"}\n"
                                            "{\"text\": \"two\"}\n"
                                            "{\"question\": \"which?\", \"answers\": [\"one\"]}\n");
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "2 0 0 0");
    assert_string_equal(counts(t.questions), "1 0 0 0");
    t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "0 2 0 0");
    assert_string_equal(counts(t.questions), "0 1 0 0");
}

static void a_changed_file_replaces(void **state) {
    (void)state;
    const char *path = temp_text("b.txt", "The old text.");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "1 0 0 0");
    temp_text("b.txt", "The new text.");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "0 0 1 0");
    assert_string_equal(document_at(path).text, "The new text.");
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.documents, 1);
}

static void a_text_of_several_parts_that_shrinks_loses_the_last_ones(void **state) {
    (void)state;
    size_t n = (size_t)20 << 20;
    char *text = xmalloc(n);
    for (size_t i = 0; i < n; i++) text[i] = i % 10 == 9 ? '\n' : (char)('a' + i % 7919 % 26);
    const char *path = temp_file("long.txt", text, n);
    assert_string_equal(counts(ingest_path_as_is(path).documents), "3 0 0 0");
    temp_file("long.txt", text, (size_t)9 << 20);
    assert_string_equal(counts(ingest_path_as_is(path).documents), "0 1 1 0");
    store_counts c;
    assert_int_equal(store_count(home, &c), OK);
    assert_int_equal(c.documents, 2);
    assert_int_equal(c.text_bytes, 9 << 20);
    free(text);
}

static void what_a_changed_file_no_longer_holds_is_removed(void **state) {
    (void)state;
    static const char *const one = "{\"id\": \"one\", \"text\": \"1\"}\n",
                             *two = "{\"text\": \"2\"}\n",
                             *three = "{\"id\": \"three\", \"question\": \"3?\"}\n",
                             *broken = "{\"id\"\n";
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", one, two, three);
    const char *path = temp_text("shrinks.jsonl", text),
               *other = temp_text("stays.jsonl", "{\"id\": \"four\", \"text\": \"4\"}");
    ingest_path_as_is(path);
    ingest_path_as_is(other);

    snprintf(text, sizeof text, "%s%s", one, broken); /* the others may stand in the broken line */
    temp_text("shrinks.jsonl", text);
    took t = ingest_path_as_is(path);
    assert_int_equal(t.documents.removed + t.questions.removed, 0);
    assert_int_equal(t.n_skips, 2); /* the line, and what that leads to */
    question("three");

    temp_text("shrinks.jsonl", one);
    t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "0 1 0 0");
    assert_int_equal(t.documents.removed, 1);
    assert_int_equal(t.questions.removed, 1);
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.documents, 2); /* one, four */
    assert_int_equal(n.questions[SPLIT_TRAIN], 0);
}

static void a_record_that_moved_to_another_file_of_the_run_stays(void **state) {
    (void)state;
    static const char *const record = "{\"id\": \"d\", \"text\": \"1\"}\n",
                             *rest = "{\"id\": \"e\", \"text\": \"2\"}\n";
    char both[128];
    snprintf(both, sizeof both, "%s%s", record, rest);
    put_file("moves/a.jsonl", rest);
    put_file("moves/b.jsonl", both);
    ingest_path_as_is(temp_path("moves"));
    put_file("moves/a.jsonl", both);
    put_file("moves/b.jsonl", rest);
    took t = ingest_path_as_is(temp_path("moves"));
    assert_int_equal(t.documents.removed, 0);
    assert_string_equal(document("d").text, "1");
}

/* What two files hold is not taken along by the one that changes. */
static void a_text_or_record_that_another_file_holds_too_stays(void **state) {
    (void)state;
    put_file("twins/a.txt", "the same words");
    put_file("twins/b.txt", "the same words");
    put_file("twins/a.jsonl", "{\"id\": \"both\", \"text\": \"3\"}\n");
    put_file("twins/b.jsonl", "{\"id\": \"both\", \"text\": \"3\"}\n");
    ingest_path_as_is(temp_path("twins"));
    put_file("twins/a.txt", "other words");
    put_file("twins/a.jsonl", "{\"id\": \"new\", \"text\": \"4\"}\n");
    ingest_path_as_is(temp_path("twins/a.txt"));
    took t = ingest_path_as_is(temp_path("twins/a.jsonl"));
    assert_int_equal(t.documents.removed, 0);
    assert_string_equal(document_at(temp_path("twins/a.txt")).text, "other words");
    assert_string_equal(document_at(temp_path("twins/b.txt")).text, "the same words");
    assert_string_equal(document("both").text, "3");
    assert_string_equal(document("new").text, "4");
}

/* Paragraphs are named by their number: when the first one goes, all others move up by one. */
static void paragraphs_that_move_up_are_all_kept(void **state) {
    (void)state;
    static const char head[] = "{\"data\": [{\"title\": \"T\", \"paragraphs\": [",
                      first[] = "{\"context\": \"one\"},",
                      rest[] = "{\"context\": \"two\"}, {\"context\": \"three\"}]}]}";
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", head, first, rest);
    const char *path = temp_text("moves.json", text);
    assert_string_equal(counts(ingest_path_as_is(path).documents), "3 0 0 0");
    snprintf(text, sizeof text, "%s%s", head, rest);
    temp_text("moves.json", text);
    ingest_path_as_is(path);
    char uri[600];
    snprintf(uri, sizeof uri, "%s#T/1", path);
    assert_string_equal(document_at(uri).text, "two");
    snprintf(uri, sizeof uri, "%s#T/2", path);
    assert_string_equal(document_at(uri).text, "three");
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.documents, 2);
}

static void a_duplicate_id_keeps_the_first_and_says_so(void **state) {
    (void)state;
    const char *path = temp_text("c.jsonl", "{\"id\": \"x\", \"text\": \"one\"}\n"
                                            "{\"id\": \"x\", \"text\": \"two\"}\n"
                                            "{\"id\": \"x\", \"text\": \"one\"}\n"
                                            "{\"id\": \"q\", \"question\": \"a?\"}\n"
                                            "{\"id\": \"q\", \"question\": \"b?\"}\n");
    for (int i = 0; i < 2; i++) {
        took t = ingest_path_as_is(path);
        assert_string_equal(counts(t.documents), i ? "0 2 0 1" : "1 1 0 1");
        assert_string_equal(counts(t.questions), i ? "0 1 0 1" : "1 0 0 1");
        assert_string_equal(
            t.reason, "line 2: id x stands twice, with different texts; the first one is kept");
        assert_string_equal(document("x").text, "one");
        assert_string_equal(question("q").question, "a?");
    }
}

static void a_question_in_two_files_gets_the_documents_of_both(void **state) {
    (void)state;
    put_file("two/a.jsonl",
             "{\"id\": \"q\", \"question\": \"w?\", \"answers\": [\"1\"], \"documents\": [\"d\"]}");
    put_file("two/b.jsonl", "{\"id\": \"q\", \"question\": \"w?\", \"answers\": [\"1\", \"2\"], "
                            "\"documents\": [\"e\"]}");
    assert_string_equal(counts(ingest_path_as_is(temp_path("two")).questions), "1 0 1 0");
    assert_string_equal(question("q").answers, "[\"1\", \"2\"]");
    assert_string_equal(question("q").documents, "[\"d\", \"e\"]");
    assert_string_equal(counts(ingest_path_as_is(temp_path("two")).questions), "0 2 0 0");
}

static void a_misspelled_split_is_not_train(void **state) {
    (void)state;
    put_file("own.jsonl", "{\"id\": \"a\", \"question\": \"w?\", \"split\": \"test\"}\n"
                          "{\"id\": \"b\", \"question\": \"w?\", \"split\": \"tset\"}\n");
    took t = ingest_path_as_is(temp_path("own.jsonl"));
    assert_string_equal(counts(t.questions), "1 0 0 1");
    assert_non_null(strstr(t.reason, "split 'tset', wanted train, dev or test"));
    assert_int_equal(question("a").split, SPLIT_TEST);
    t = ingest_as(NULL, SPLIT_DEV, temp_path("own.jsonl"));
    assert_int_equal(question("b").split, SPLIT_DEV);
}

static void a_question_is_in_one_split(void **state) {
    (void)state;
    put_file("splits/dev.jsonl", "{\"id\": \"q\", \"question\": \"w?\"}");
    put_file("splits/train.jsonl", "{\"id\": \"q\", \"question\": \"w?\"}");
    took t = ingest_path_as_is(temp_path("splits"));
    assert_string_equal(counts(t.questions), "1 0 0 1");
    assert_non_null(strstr(t.reason, "stands twice, in different splits; the first one is kept"));
    assert_int_equal(question("q").split, SPLIT_DEV);
    assert_string_equal(counts(ingest_as(NULL, SPLIT_TEST, temp_path("splits")).questions),
                        "0 1 1 0");
    assert_int_equal(question("q").split, SPLIT_TEST);
}

/* ---- bad input ---- */

static void a_missing_path_fails_after_the_others_were_read(void **state) {
    (void)state;
    ingest_report r = {0};
    const char *paths[] = {temp_path("nowhere"), temp_text("here.txt", "text")};
    assert_int_equal(ingest_paths(home, paths, 2, &(ingest_options){NULL, -1}, &r), ERR_ARG);
    assert_non_null(
        strstr(err_msg(), "nowhere: no such file or folder; the other paths were read"));
    assert_string_equal(counts(r.documents), "1 0 0 1");
    assert_string_equal(r.skips[0].path, paths[0]);
    ingest_report_clear(&r);
    assert_string_equal(document_at(paths[1]).text, "text");
}

static void an_unknown_format_names_the_known_ones(void **state) {
    (void)state;
    assert_int_equal(ingest_as("pdf", -1, temp_text("x.pdf", "x")).st, ERR_ARG);
    assert_string_equal(err_msg(), "unknown format 'pdf', wanted one of: auto, text, jsonl, squad, "
                                   "triviaqa, nq_open, dpr, beir");
}

/* One document skipped, for this reason; the collection stays empty. */
static void refused_as(const char *path, const char *reason) {
    took t = ingest_path_as_is(path);
    assert_int_equal(t.st, OK);
    assert_string_equal(counts(t.documents), "0 0 0 1");
    if (!strstr(t.reason, reason)) assert_string_equal(t.reason, reason);
}

static void what_is_not_text_is_skipped_with_its_reason(void **state) {
    (void)state;
    refused_as(temp_text("empty.txt", ""), "the file is empty");
    refused_as(temp_text("blank.txt", " \n\t\n"), "has no text");
    refused_as(temp_file("nul.bin", "ab\0cd", 5), "binary, not text");
    refused_as(temp_text("p.pdf", "%PDF-1.7\n"), "PDF is not parsed");
    refused_as(temp_text("p.html", "\n<!DOCTYPE html><p>"), "HTML is not parsed");
    refused_as(temp_text("p.xml", "<?xml version=\"1.0\"?>"), "XML is not parsed");
    refused_as(temp_file("p.docx", "PK\003\004\024\0", 6), "office document");
    refused_as(temp_file("u.txt", "\xFF\xFEh\0i\0", 6), "UTF-16 text");
    refused_as(temp_text("latin.txt", "caf\xE9 au lait"), "not UTF-8 (byte 3 is malformed)");
    refused_as(temp_text("other.json", "{\"rows\": [1, 2]}"),
               "JSON of a shape that no reader knows");
    refused_as(temp_text("deep.json", "[[[[[[[[[[[[[[[["), "JSON of a shape that no reader knows");
    refused_as(temp_text("list.json", "[1, 2, 3]"), "JSON of a shape that no reader knows");
    refused_as(temp_text("bare.json", "42\n"), "of no known format");
}

static void a_file_without_a_record_is_said(void **state) {
    (void)state;
    took t = ingest_as("triviaqa", -1, temp_text("other.json", "{\"rows\": [1, 2]}"));
    assert_string_equal(counts(t.documents), "0 0 0 1");
    assert_string_equal(t.reason, "holds no document and no question (read as triviaqa)");
}

static void nul_bytes_behind_the_beginning_are_found(void **state) {
    (void)state;
    size_t n = 200000;
    char *text = xmalloc(n);
    memset(text, 'a', n);
    text[n - 1] = 0;
    refused_as(temp_file("late.txt", text, n), "holds NUL bytes");
    free(text);
}

static void a_broken_line_costs_itself_alone(void **state) {
    (void)state;
    buf b = {0};
    buf_puts(&b, "{\"text\": \"one\"}\n{\"text\": \n");
    for (int i = 0; i < 5000; i++) buf_puts(&b, "[");
    buf_puts(&b, "\n{\"text\": \"caf\xE9\"}\n{\"other\": 1}\n\n{\"question\": \"w?\", \"answers\": "
                 "[1]}\n{\"text\": \"two\"}");
    took t = ingest_path_as_is(temp_file("d.jsonl", b.at, b.len));
    assert_string_equal(counts(t.documents), "2 0 0 4");
    assert_string_equal(counts(t.questions), "0 0 0 1"); /* answers are no strings */
    assert_non_null(strstr(t.reason, "line 2: not JSON: "));
    assert_int_equal(t.n_skips, 5);
    buf_clear(&b);
}

static void a_gigantic_line_is_skipped_and_the_next_one_read(void **state) {
    (void)state;
    const char *path = temp_text("g.jsonl", "{\"text\": \"one\"}\n{\"text\": \"");
    FILE *f = fopen(path, "ab");
    char *block = xmalloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (int i = 0; i < 65; i++) fwrite(block, 1, 1 << 20, f);
    fputs("\"}\n{\"text\": \"two\"}\n", f);
    fclose(f);
    free(block);
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "2 0 0 1");
    assert_string_equal(t.reason, "line 2: is longer than 64 MiB; cut it into several records");
}

static const char squad[] =
    "{\"version\": \"1.1\", \"data\": [{\"title\": \"River_Lune\", \"paragraphs\": [\n"
    "{\"context\": \"The Lune is long.\", \"qas\": [{\"id\": \"q1\", \"question\": \"How long?\", "
    "\"answers\": [{\"text\": \"long\", \"answer_start\": 12}, {\"text\": \"long\", "
    "\"answer_start\": 12}]}]},\n"
    "{\"context\": \"The Lune is wet.\", \"qas\": [{\"id\": \"q2\", \"question\": \"How dry?\", "
    "\"answers\": [], \"is_impossible\": true}]}]}]}";

static void squad_paragraphs_become_documents(void **state) {
    (void)state;
    const char *path = temp_text("dev-v2.0.json", squad);
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "2 0 0 0");
    assert_string_equal(counts(t.questions), "2 0 0 0");
    store_question q = question("q1");
    assert_int_equal(q.split, SPLIT_DEV); /* by the file's name */
    assert_string_equal(q.answers, "[\"long\"]");
    assert_string_equal(document(q.evidence).title, "River Lune");
    assert_string_equal(document(q.evidence).text, "The Lune is long.");
    assert_true(question("q2").unanswerable);
    assert_string_equal(counts(ingest_path_as_is(path).documents), "0 2 0 0");
}

static void articles_of_the_same_title_are_kept_apart(void **state) {
    (void)state;
    const char *path = temp_text(
        "same.json", "{\"data\": [{\"title\": \"A\", \"paragraphs\": [{\"context\": \"one\"}]}, "
                     "{\"title\": \"A\", \"paragraphs\": [{\"context\": \"two\"}]}, "
                     "{\"title\": \"B\", \"paragraphs\": [{\"context\": \"three\"}]}, "
                     "{\"title\": \"A\", \"paragraphs\": [{\"context\": \"four\"}]}]}");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "4 0 0 0");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "0 4 0 0");
}

static void a_bad_file_names_some_of_its_records(void **state) {
    (void)state;
    buf b = {0};
    buf_puts(&b, "{\"text\": \"one\"}\n");
    for (int i = 0; i < 50; i++) buf_puts(&b, "{\n");
    took t = ingest_path_as_is(temp_file("worse.jsonl", b.at, b.len));
    assert_string_equal(counts(t.documents), "1 0 0 50");
    assert_int_equal(t.n_skips, 20);
    buf_clear(&b);
}

static void a_truncated_file_keeps_what_came_before(void **state) {
    (void)state;
    took t = ingest_path_as_is(temp_file("cut.json", squad, strlen(squad) - 60));
    assert_string_equal(counts(t.documents), "1 0 0 1");
    assert_string_equal(counts(t.questions), "1 0 0 0");
    assert_non_null(strstr(t.reason, "the file ends"));
}

static void gzip_is_read_and_a_cut_one_is_said(void **state) {
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("train.json.gz"));
    gzFile z = gzopen(path, "wb");
    gzwrite(z, squad, sizeof squad - 1);
    gzclose(z);
    assert_string_equal(counts(ingest_path_as_is(path).documents), "2 0 0 0");
    assert_int_equal(question("q2").split, SPLIT_TRAIN);
    buf b = {0};
    file_map m;
    assert_int_equal(file_map_open(path, &m), OK);
    buf_add(&b, m.at, m.size - 12);
    file_map_close(&m);
    took t = ingest_path_as_is(temp_file("cut.json.gz", b.at, b.len));
    assert_int_equal(t.documents.skipped, 1);
    assert_non_null(strstr(t.reason, "the gzip data ends too early"));
    buf_clear(&b);
}

static void standard_input_is_told_by_its_content(void **state) {
    (void)state;
    const char *const inputs[] = {temp_text("in1", squad),
                                  temp_text("in2", "# Moss\nMoss is green.\n"),
                                  temp_text("in3", "who?\t['me', \"it's\"]\n")};
    const char *const want[] = {"2 0 0 0", "1 0 0 0", "0 0 0 0"};
    int kept = dup(STDIN_FILENO);
    for (int i = 0; i < 3; i++) {
        int fd = open(inputs[i], O_RDONLY);
        dup2(fd, STDIN_FILENO);
        close(fd);
        took t = ingest_path_as_is("-");
        assert_int_equal(t.st, OK);
        assert_string_equal(counts(t.documents), want[i]);
    }
    dup2(kept, STDIN_FILENO);
    close(kept);
    store_counts n;
    assert_int_equal(store_count(home, &n), OK);
    assert_int_equal(n.questions[SPLIT_TRAIN], 3);
}

static void an_id_beyond_64_bits_is_its_digits(void **state) {
    (void)state;
    const char *path = temp_text("long.json", "{\"id\": 13591449469826568799, \"text\": \"one\"}\n"
                                              "{\"id\": \"q\", \"question\": \"w?\", "
                                              "\"documents\": [13591449469826568799]}\n");
    took t = ingest_path_as_is(path);
    assert_string_equal(counts(t.documents), "1 0 0 0");
    assert_string_equal(counts(t.questions), "1 0 0 0");
    assert_string_equal(document("13591449469826568799").text, "one");
}

/* A named pipe, and so `<(command)` of a shell, holds another text each time. */
static void texts_of_a_pipe_are_all_kept(void **state) {
    (void)state;
    const char *pipe = temp_path("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    for (int i = 0; i < 3; i++) {
        char command[600];
        snprintf(command, sizeof command, "echo text %d > %s &", i, pipe);
        assert_int_equal(system(command), 0);
        took t = ingest_path_as_is(pipe);
        assert_int_equal(t.st, OK);
        assert_string_equal(counts(t.documents), "1 0 0 0");
        assert_int_equal(t.documents.removed, 0);
    }
}

static void a_markdown_heading_is_the_title(void **state) {
    (void)state;
    const char *path = temp_text("m.md", "\xEF\xBB\xBF# On moss #\nIt is green.");
    assert_string_equal(counts(ingest_path_as_is(path).documents), "1 0 0 0");
    assert_string_equal(document_at(path).title, "On moss");
    assert_string_equal(document_at(path).text, "It is green.");
    path = temp_text("notes.txt", "plain");
    ingest_path_as_is(path);
    assert_string_equal(document_at(path).title, "notes");
}

static void one_bad_file_does_not_stop_a_folder(void **state) {
    (void)state;
    put_file("mixed/a.txt", "one");
    put_file("mixed/b.pdf", "%PDF-1.4");
    put_file("mixed/sub/c.md", "two");
    put_file("mixed/.hidden.txt", "three");
    took t = ingest_path_as_is(temp_path("mixed"));
    assert_string_equal(counts(t.documents), "2 0 0 1");
    assert_int_equal(t.n_skips, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        test(the_same_file_twice_is_unchanged),
        test(a_changed_file_replaces),
        test(a_text_of_several_parts_that_shrinks_loses_the_last_ones),
        test(what_a_changed_file_no_longer_holds_is_removed),
        test(a_record_that_moved_to_another_file_of_the_run_stays),
        test(a_text_or_record_that_another_file_holds_too_stays),
        test(paragraphs_that_move_up_are_all_kept),
        test(a_duplicate_id_keeps_the_first_and_says_so),
        test(a_question_in_two_files_gets_the_documents_of_both),
        test(a_misspelled_split_is_not_train),
        test(a_question_is_in_one_split),
        test(a_missing_path_fails_after_the_others_were_read),
        test(an_unknown_format_names_the_known_ones),
        test(what_is_not_text_is_skipped_with_its_reason),
        test(a_file_without_a_record_is_said),
        test(nul_bytes_behind_the_beginning_are_found),
        test(a_broken_line_costs_itself_alone),
        test(a_gigantic_line_is_skipped_and_the_next_one_read),
        test(squad_paragraphs_become_documents),
        test(articles_of_the_same_title_are_kept_apart),
        test(a_bad_file_names_some_of_its_records),
        test(a_truncated_file_keeps_what_came_before),
        test(gzip_is_read_and_a_cut_one_is_said),
        test(standard_input_is_told_by_its_content),
        test(an_id_beyond_64_bits_is_its_digits),
        test(texts_of_a_pipe_are_all_kept),
        test(a_markdown_heading_is_the_title),
        test(one_bad_file_does_not_stop_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
