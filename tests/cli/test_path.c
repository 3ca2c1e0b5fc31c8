/* The whole path as a user walks it: sample, ingest, train, index, search, ask, embed, eval,
 * info, list, remove, check, compact; and the shapes that scripts may rely on. */
#include "cmocka_all.h"
#include "tiny.h"

static int64_t count(const json_t *report, const char *of, const char *what) {
    return json_int(json_object_get(report, of), what, -1);
}

/* Asserts that an object has these fields and no others: "a, b, c". */
static void assert_fields(const json_t *o, const char *fields) {
    buf b = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value) buf_printf(&b, "%s%s", b.len ? ", " : "", key);
    buf_putc(&b, 0);
    assert_string_equal(b.at, fields);
    buf_clear(&b);
}

static void assert_hit(const json_t *hit, int64_t rank) {
    assert_fields(hit, "rank, score, document, title, uri, bytes, text");
    assert_int_equal(json_int(hit, "rank", 0), rank);
    const json_t *bytes = json_object_get(hit, "bytes");
    assert_int_equal(json_array_size(bytes), 2);
    int64_t begin = json_integer_value(json_array_get(bytes, 0));
    int64_t end = json_integer_value(json_array_get(bytes, 1));
    assert_int_equal(end - begin, strlen(json_str(hit, "text", "")));
}

/* ---- a sample world, once for the tests below ---- */

static int make_world(void **state) {
    (void)state;
    raglan_ok("sample world --articles 26");
    raglan_ok("ingest world --save_dir home");
    raglan_ok("train all --save_dir home --num_iters 4 " TINY);
    return 0;
}

static void training_reports_each_part(void **state) {
    (void)state;
    raglan_ok("train all --save_dir home");
    assert_says(err, "the retriever is trained: kept");
    assert_says(err, "the generator is trained: kept");
}

static void nothing_to_index_is_nothing_done(void **state) {
    (void)state;
    assert_int_equal(shell("cat home/index/manifest.json >before"), 0);
    raglan_ok("index --save_dir home");
    assert_says(out, "index        ");
    assert_int_equal(shell("cmp before home/index/manifest.json"), 0);
}

static void search_prints_hits_best_first(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *mode = (const char *[]){"bm25", "dense", "hybrid"}[i];
        raglan_ok("search 'Where is the river?' --top_k 4 --mode %s --json --save_dir home", mode);
        json_t *j = out_json(), *hits = json_object_get(j, "hits"), *hit;
        assert_fields(j, "question, mode, hits");
        assert_string_equal(json_str(j, "question", ""), "Where is the river?");
        assert_string_equal(json_str(j, "mode", ""), mode);
        assert_int_equal(json_array_size(hits), 4);
        size_t at;
        double last = 1e9;
        json_array_foreach(hits, at, hit) {
            assert_hit(hit, (int64_t)at + 1);
            assert_true(json_num(hit, "score", 1e9) <= last);
            last = json_num(hit, "score", 1e9);
        }
        json_decref(j);
    }
    raglan_ok("search 'Where is the river?' --top_k 1 --save_dir home");
    assert_memory_equal(out, "[1] ", 4);
    assert_string_equal(err, "");
}

static void ask_answers_with_its_sources(void **state) {
    (void)state;
    raglan_ok("ask 'Where is the river?' --top_k 3 --json --save_dir home");
    json_t *j = out_json(), *sources = json_object_get(j, "sources"), *hit;
    assert_fields(j, "question, answer, confidence, sources");
    assert_true(json_is_string(json_object_get(j, "answer")));
    double confidence = json_num(j, "confidence", -1);
    assert_true(confidence >= 0 && confidence <= 1);
    assert_int_equal(json_array_size(sources), 3);
    size_t at;
    json_array_foreach(sources, at, hit) assert_hit(hit, (int64_t)at + 1);
    json_decref(j);
    raglan_ok("ask 'Where is the river?' --top_k 3 --save_dir home");
    assert_says(out, "\nsources (confidence ");
    assert_says(out, "\n[3] ");
}

static void the_prompt_takes_questions_until_quit(void **state) {
    (void)state;
    assert_int_equal(shell("printf 'Where is it?\\n\\n \\nWho?\\nquit\\nWhen?\\n' | " RAGLAN_PROGRAM
                           " ask --json --top_k 2 --save_dir home"),
                     0);
    char *second = strchr(out, '\n') + 1;
    assert_memory_equal(out, "{\"question\": \"Where is it?\"", 27);
    assert_memory_equal(second, "{\"question\": \"Who?\"", 19);
    assert_string_equal(strchr(second, '\n'), "\n");
}

static void embed_prints_a_unit_vector_a_line(void **state) {
    (void)state;
    temp_text("lines", "the red owl\nwho?\nthe red owl\n");
    raglan_ok("embed lines --save_dir home");
    char *second = strchr(out, '\n') + 1, *third = strchr(second, '\n') + 1;
    size_t n = (size_t)(second - out);
    assert_memory_equal(out, third, n);
    assert_string_equal(third + n, "");
    *second = 0;
    json_t *v = out_json();
    assert_int_equal(json_array_size(v), 16);
    double square = 0;
    for (size_t i = 0; i < 16; i++) {
        double x = json_number_value(json_array_get(v, i));
        square += x * x;
    }
    assert_float_equal(square, 1, 1e-5);
    json_decref(v);
    assert_int_equal(raglan("embed --format npy lines --save_dir home | wc -c"), 0);
    assert_string_equal(out, "0\n");
    assert_says(err, "--format npy needs standard output to be a file");
    raglan_ok("embed --format npy lines --save_dir home >v.npy && wc -c <v.npy");
    assert_int_equal(atoi(out), 128 + 3 * 16 * 4);
    raglan_ok("embed --as question lines --save_dir home");
    *strchr(out, '\n') = 0;
    v = out_json();
    assert_int_equal(json_array_size(v), 16);
    json_decref(v);
}

static void eval_has_the_fields_of_the_interface(void **state) {
    (void)state;
    raglan_ok("eval --split dev --limit 8 --json --save_dir home");
    json_t *j = out_json(), *retrieval = json_object_get(j, "retrieval");
    const char *const top[] = {"questions", "documents", "passages", "seed", "threads"};
    for (int i = 0; i < 5; i++) assert_true(json_int(j, top[i], -1) >= 0);
    assert_int_equal(json_int(j, "questions", 0), 8);
    assert_string_equal(json_str(j, "split", ""), "dev");
    const char *const hashes[] = {"data", "tokenizer", "retriever", "generator"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(strlen(json_str(json_object_get(j, "hashes"), hashes[i], "")), 40);
    const char *const modes[] = {"bm25", "dense", "hybrid"};
    const char *const figures[] = {"success@1", "success@5", "success@20", "success@100",
                                   "mrr@10",    "ndcg@10",   "recall@20"};
    for (int m = 0; m < 3; m++)
        for (int f = 0; f < 7; f++) {
            double x = json_num(json_object_get(retrieval, modes[m]), figures[f], -1);
            assert_true(x >= 0 && x <= 1);
        }
    const json_t *answers = json_object_get(j, "answers");
    assert_true(json_num(answers, "em", -1) >= 0);
    assert_true(json_num(json_object_get(answers, "oracle_passage"), "f1", -1) >= 0);
    json_decref(j);
}

static void info_and_list_say_what_is_there(void **state) {
    (void)state;
    raglan_ok("info --json --save_dir home");
    json_t *j = out_json();
    assert_int_equal(json_int(j, "documents", 0), 26);
    assert_int_equal(json_array_size(json_object_get(j, "checkpoints")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "stale")), 0);
    json_decref(j);
    assert_int_equal(shell(RAGLAN_PROGRAM " list --json --save_dir home | wc -l"), 0);
    assert_int_equal(atoi(out), 26);
    assert_int_equal(shell(RAGLAN_PROGRAM " list --questions --save_dir home | cut -f 2 | sort -u"),
                     0);
    assert_string_equal(out, "dev\ntest\ntrain\n");
}

static void check_and_compact_find_nothing_wrong(void **state) {
    (void)state;
    raglan_ok("check --save_dir home");
    assert_string_equal(out, "no faults\n");
    raglan_ok("compact --save_dir home");
    raglan_ok("search river --save_dir home");
}

/* ---- what changes in a collection ---- */

static void reading_again_changes_nothing(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town questions.jsonl --json --save_dir again");
    json_t *j = out_json();
    assert_fields(j, "documents, questions, skipped");
    assert_int_equal(count(j, "documents", "added"), 3);
    assert_int_equal(count(j, "questions", "added"), 4);
    json_decref(j);
    raglan_ok("ingest town questions.jsonl --json --save_dir again");
    j = out_json();
    assert_int_equal(count(j, "documents", "unchanged"), 3);
    assert_int_equal(count(j, "questions", "unchanged"), 4);
    assert_int_equal(count(j, "documents", "added") + count(j, "documents", "replaced"), 0);
    json_decref(j);
}

/* The first hit's title; "" for none. */
static const char *found(const char *home, const char *question) {
    static char title[64];
    raglan_ok("search '%s' --top_k 1 --json --mode bm25 --save_dir %s", question, home);
    json_t *j = out_json(), *hits = json_object_get(j, "hits");
    snprintf(title, sizeof title, "%s", json_str(json_array_get(hits, 0), "title", ""));
    json_decref(j);
    return title;
}

static void a_changed_file_replaces_its_document(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town --save_dir changed");
    raglan_ok("index --save_dir changed");
    assert_string_equal(found("changed", "barley"), "Old Mill");
    temp_text("town/mill.md", "# Old Mill\n\nThe old mill is a museum of turbines now.\n");
    raglan_ok("ingest town --json --save_dir changed");
    json_t *j = out_json();
    assert_int_equal(count(j, "documents", "replaced"), 1);
    assert_int_equal(count(j, "documents", "unchanged"), 2);
    json_decref(j);
    assert_string_equal(found("changed", "barley"), ""); /* before it is indexed again, too */
    assert_says(err, "changed holds documents that are not indexed yet: run `raglan index");
    raglan_ok("index --save_dir changed");
    assert_string_equal(found("changed", "turbines"), "Old Mill");
    assert_string_equal(err, "");
    assert_string_equal(found("changed", "barley"), "");
}

static void what_is_removed_is_gone_at_once(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town --save_dir removed");
    raglan_ok("index --save_dir removed");
    assert_string_equal(found("removed", "Belmora red lighthouse"), "Belmora Light");
    raglan_ok("remove town/light.md --save_dir removed");
    assert_says(out, "removed 1 document with ");
    assert_string_equal(found("removed", "Belmora red lighthouse"), "Belmora Harbour");
    raglan_ok("info --json --save_dir removed"); /* the files still hold it */
    json_t *j = out_json();
    assert_int_equal(count(j, "index", "lexical"), json_int(j, "passages", 0));
    json_decref(j);
    raglan_ok("index --save_dir removed");
    assert_string_equal(found("removed", "Belmora red lighthouse"), "Belmora Harbour");
    raglan_ok("compact --save_dir removed");
    assert_string_equal(found("removed", "Belmora red lighthouse"), "Belmora Harbour");
    raglan_ok("index --save_dir removed"); /* ids that are in no file any more: nothing to do */
    raglan_ok("info --json --save_dir removed");
    assert_says(out, "\"generation\": 3, ");
    assert_says(out, "\"deleted\": 0, ");
    assert_says(out, "\"stale\": []");
    assert_int_equal(raglan("remove town/light.md --save_dir removed"), 1);
    assert_says(err, "'town/light.md' is no document's id or uri and no ingested path");
}

static void search_files_of_another_collection_are_refused(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town --save_dir own");
    raglan_ok("index --save_dir own");
    raglan_ok("ingest town/mill.md --save_dir other");
    raglan_ok("index --save_dir other");
    assert_int_equal(shell("rm -r own/index && cp -r other/index own"), 0);
    assert_int_equal(raglan("search barley --save_dir own"), 1);
    assert_says(err, "own has search files of another collection, or of passages cut otherwise: "
                     "run `raglan index --save_dir own`");
    assert_int_equal(raglan("check --save_dir own"), 1);
    assert_says(out, "the search files are of another collection, or of passages cut otherwise: "
                     "`raglan index --save_dir own` makes them anew\n1 fault, 0 mended");
    raglan_ok("info --save_dir own");
    assert_says(out, "index        0 passages by words, 0 by vectors\n"
                     "to do        index is behind: raglan index --save_dir own");
    raglan_ok("index --save_dir own");
    raglan_ok("check --save_dir own");
    assert_string_equal(found("own", "forty boats"), "Belmora Harbour");
}

/* Vectors of the old index do not survive the document either. */
static void removal_holds_with_vectors(void **state) {
    (void)state;
    assert_int_equal(shell("cp -r home shrinking"), 0);
    raglan_ok("remove world/docs --save_dir shrinking");
    assert_says(out, "removed 26 documents with ");
    raglan_ok("search river --json --save_dir shrinking");
    assert_says(out, "\"hits\": []");
    raglan_ok("index --save_dir shrinking");
    assert_string_equal(out, "index        0 passages by words, none by vectors\n");
    raglan_ok("compact --save_dir shrinking");
    raglan_ok("check --save_dir shrinking");
    assert_int_equal(raglan("search river --json --save_dir shrinking"), 1);
    assert_says(err, "shrinking has no search files yet: run `raglan index --save_dir shrinking`");
}

static void the_home_is_chosen_by_option_then_environment(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town --save_dir=one");
    assert_int_equal(shell("RAGLAN_HOME=one " RAGLAN_PROGRAM " info"), 0);
    assert_memory_equal(out, "home         one\n", 17);
    assert_int_equal(shell("RAGLAN_HOME=none " RAGLAN_PROGRAM " info --save-dir one"), 0);
    assert_int_equal(shell("unset RAGLAN_HOME; " RAGLAN_PROGRAM " info"), 1);
    assert_says(err, "raglan-home: holds no collection yet; add documents with: raglan ingest");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_reports_each_part),
        cmocka_unit_test(nothing_to_index_is_nothing_done),
        cmocka_unit_test(search_prints_hits_best_first),
        cmocka_unit_test(ask_answers_with_its_sources),
        cmocka_unit_test(the_prompt_takes_questions_until_quit),
        cmocka_unit_test(embed_prints_a_unit_vector_a_line),
        cmocka_unit_test(eval_has_the_fields_of_the_interface),
        cmocka_unit_test(info_and_list_say_what_is_there),
        cmocka_unit_test(check_and_compact_find_nothing_wrong),
        cmocka_unit_test(reading_again_changes_nothing),
        cmocka_unit_test(a_changed_file_replaces_its_document),
        cmocka_unit_test(what_is_removed_is_gone_at_once),
        cmocka_unit_test(search_files_of_another_collection_are_refused),
        cmocka_unit_test(removal_holds_with_vectors),
        cmocka_unit_test(the_home_is_chosen_by_option_then_environment),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
