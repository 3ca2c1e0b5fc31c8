/* What goes wrong in a collection, each with exit code 1 and one sentence that names the thing
 * and the next step; and what looks wrong but is not. */
#include <sys/resource.h>

#include "cmocka_all.h"
#include "tiny.h"

/* The last line on stderr, and the only error, is a sentence with these words; nothing on stdout.
 */
static void assert_one_sentence(const char *part) {
    char *error = strstr(err, "raglan: error: ");
    assert_string_equal(out, "");
    if (!error || !strstr(error, part)) fail_msg("wanted '%s' in: %s", part, err);
    assert_string_equal(strchr(error, '\n'), "\n");
}

#define refused(part, ...)                                                                         \
    do {                                                                                           \
        assert_int_equal(raglan(__VA_ARGS__), 1);                                                  \
        assert_one_sentence(part);                                                                 \
    } while (0)

/* A trained town, copied by the tests that do damage. */
static int make_home(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town questions.jsonl test.jsonl --save_dir plain");
    raglan_ok("index --save_dir plain");
    assert_int_equal(shell("cp -r plain home"), 0);
    raglan_ok("train all --num_iters 2 --save_dir home " TINY);
    return 0;
}

static void fresh_copy(void) {
    assert_int_equal(shell("rm -rf broken && cp -r home broken"), 0);
}

/* ---- what is missing ---- */

static void what_is_missing_names_its_command(void **state) {
    (void)state;
    refused(
        "nowhere: holds no collection yet; add documents with: raglan ingest --save_dir nowhere",
        "search x --save_dir nowhere");
    raglan_ok("ingest town --save_dir young");
    refused("no search files yet: run `raglan index --save_dir young`",
            "search x --save_dir young");
    assert_int_equal(shell("cp -r young 'a young one'"), 0);
    refused("no search files yet: run `raglan index --save_dir 'a young one'`",
            "search x --save_dir 'a young one'");
    refused("no generator yet: run `raglan train generator --save_dir plain`",
            "ask x --save_dir plain");
    refused("no retriever yet: run `raglan train retriever --save_dir plain`",
            "embed questions.jsonl --save_dir plain");
    refused("no vectors to search by: run `raglan train retriever --save_dir plain`",
            "search x --mode dense --save_dir plain");
}

static void an_empty_collection_trains_nothing(void **state) {
    (void)state;
    const char *const parts[] = {"tokenizer", "retriever", "generator", "all"};
    for (int i = 0; i < 4; i++)
        refused("empty holds no documents", "train %s --save_dir empty", parts[i]);
    refused("empty holds no documents to index: add some with `raglan ingest --save_dir empty",
            "index --save_dir empty");
}

static void a_collection_without_questions_gets_a_retriever(void **state) {
    (void)state;
    raglan_ok("ingest town --save_dir unasked");
    raglan_ok("train all --num_iters 2 --save_dir unasked " TINY);
    assert_says(err, "no train questions: no generator; add some with `raglan ingest`");
    raglan_ok("search lighthouse --mode dense --save_dir unasked");
    refused("0 train questions, none with an answer",
            "train generator --num_iters 2 --save_dir unasked");
    refused("holds no questions of split test", "eval --save_dir unasked");
}

static void answers_in_no_passage_are_said(void **state) {
    (void)state;
    temp_text("lost.jsonl", "{\"question\": \"Who sails?\", \"answers\": [\"Nobody At All\"]}\n"
                            "{\"question\": \"Who swims?\", \"answers\": [\"Somebody Else\"]}\n");
    raglan_ok("ingest town lost.jsonl --save_dir lost");
    raglan_ok("train all --num_iters 2 --save_dir lost " TINY);
    assert_says(err, "no train question has an answer that a passage of its documents holds: no "
                     "generator; add some with `raglan ingest`");
    refused("2 train questions, none with an answer", "train generator --save_dir lost " TINY);
    raglan_ok("search lighthouse --mode dense --save_dir lost");
}

/* ---- questions ---- */

static void a_question_without_words_is_refused(void **state) {
    (void)state;
    refused("the question is empty, wanted some words", "search '' --save_dir home");
    refused("the question is empty, wanted some words", "search ' \t ' --save_dir plain");
    refused("the question is empty, wanted some words", "ask '' --save_dir home");
    refused("the question is not UTF-8: byte 2 is malformed",
            "ask \"$(printf 'wh\\377')\" --save_dir home");
    raglan_ok("search '?!' --save_dir home"); /* characters, though none that BM25 knows */
    assert_int_equal(shell("printf 'fine\\ncaf\\351\\n' >latin"), 0);
    refused("latin:2: not UTF-8 text at byte 3; convert it", "embed latin --save_dir home");
}

static void a_question_longer_than_the_model_is_cut(void **state) {
    (void)state;
    char line[512];
    snprintf(
        line, sizeof line,
        "%s ask \"$(yes 'Who built the lighthouse of Belmora?' | head -n 3000)\" --save_dir home",
        RAGLAN_PROGRAM);
    assert_int_equal(shell(line), 0);
    assert_says(out, "sources (confidence");
}

static void more_passages_than_there_are_is_all_of_them(void **state) {
    (void)state;
    raglan_ok("search Belmora --top_k 100000 --json --save_dir home");
    json_t *j = out_json();
    raglan_ok("info --json --save_dir home");
    json_t *info = out_json();
    assert_int_equal(json_array_size(json_object_get(j, "hits")), json_int(info, "passages", 0));
    json_decref(info);
    json_decref(j);
    raglan_ok("ask Belmora --top_k 1000 --save_dir home");
}

/* ---- options ---- */

static void wrong_values_are_wrong_usage(void **state) {
    (void)state;
    const char *const lines[][2] = {
        {"search x --top_k 0", "--top_k: found '0', wanted a whole number from 1 to"},
        {"search x --top_k many", "--top_k: found 'many'"},
        {"search x --mode sparse", "--mode: found 'sparse', wanted auto, bm25, dense"},
        {"search", "found no argument, wanted QUESTION"},
        {"search x y", "QUESTION"},
        {"ingest x --split tset", "--split: found 'tset', wanted train, dev or test"},
        {"ingest x --format word", "--format: found 'word', wanted auto, text, jsonl"},
        {"train everything", "cannot train 'everything'; wanted tokenizer, retriever, generator"},
        {"train all --minutes nan", "--minutes: found 'nan'"},
        {"ask x --save-dri y", "unknown option '--save-dri', the nearest known is --save_dir"},
        {"embed --as answer", "--as: found 'answer'"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(raglan("%s", lines[i][0]), 2);
        assert_string_equal(out, "");
        assert_says(err, lines[i][1]);
        assert_string_equal(strchr(err, '\n'), "\n");
    }
}

static void a_vocabulary_beyond_the_text_becomes_the_largest_possible(void **state) {
    (void)state;
    raglan_ok("ingest town --save_dir small");
    raglan_ok("train tokenizer --vocab_size 50000 --save_dir small");
    assert_says(err, "fewer than the 50000 asked for; taking those");
    raglan_ok("index --save_dir small");
}

static void another_architecture_is_refused_with_both_values(void **state) {
    (void)state;
    refused("of another architecture: ", "train retriever --dim 24 --num_iters 1 --save_dir home");
    assert_says(err, "dim is 16 there and 24 here");
    refused("is no multiple of --num_heads 3",
            "train retriever --dim 16 --num_heads 3 --new_model --num_iters 1 --save_dir home");
}

/* ---- damage ---- */

/* Runs a shell line on the generator's parameters: whoever needs them says what to do, and one
 * of the ways out works. */
static void damaged(const char *how, const char *found) {
    char line[512];
    fresh_copy();
    snprintf(line, sizeof line, "cd broken && f=$(ls *.generator.safetensors) && %s", how);
    assert_int_equal(shell(line), 0);
    refused(found, "ask Who --save_dir broken");
    assert_says(err, "cannot be used (put the file back from a copy, or delete ");
    refused(found, "train generator --num_iters 1 --save_dir broken");
    assert_int_equal(raglan("check --save_dir broken"), 1);
    assert_says(out, found);
    assert_says(out, "1 fault, 0 mended");
    raglan_ok("search lighthouse --save_dir broken"); /* the others are not concerned */
    raglan_ok("train generator --new_model --num_iters 1 --save_dir broken " TINY);
    raglan_ok("ask Who --save_dir broken");
}

static void a_flipped_bit_in_a_checkpoint_is_found(void **state) {
    (void)state;
    damaged("printf '\\377' | dd of=$f bs=1 seek=9000 conv=notrunc", "damaged: its bytes hash to");
}

static void a_truncated_checkpoint_is_found(void **state) {
    (void)state;
    damaged("truncate -s 5000 $f", "the file was cut short or damaged");
}

static void a_checkpoint_of_foreign_shapes_is_found(void **state) {
    (void)state;
    damaged("cp $(ls *.retriever.safetensors | head -1) $f", "damaged: its bytes hash to");
}

static void an_index_of_another_model_falls_back_to_words(void **state) {
    (void)state;
    fresh_copy();
    raglan_ok("train retriever --new_model --num_iters 2 --seed 5 --save_dir broken " TINY);
    raglan_ok("info --save_dir broken");
    char id[41] = "";
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        if (strstr(line, "retriever") && strstr(line, "newest")) sscanf(line, "retriever %12s", id);
    raglan_ok("search lighthouse --json --identifier %s --save_dir broken", id);
    assert_says(err, "no vectors of retriever");
    assert_says(err, "run `raglan index --save_dir broken`");
    assert_says(out, "\"mode\": \"bm25\"");
}

static void models_of_another_tokenizer_name_the_way_on(void **state) {
    (void)state;
    fresh_copy();
    raglan_ok("train tokenizer --new_model --vocab_size 300 --save_dir broken");
    refused("was trained with tokenizer ", "search lighthouse --save_dir broken");
    assert_says(err, "run `raglan train retriever --new_model --save_dir broken`");
    refused("start afresh with --new_model", "train retriever --save_dir broken");
    assert_says(err, "was trained with tokenizer ");
    raglan_ok("train all --num_iters 1 --batch_size 4 --save_dir broken");
    assert_says(err, "the retriever belongs to another tokenizer: training a new one");
    raglan_ok("ask lighthouse --save_dir broken");
}

static void damaged_search_files_are_made_again(void **state) {
    (void)state;
    const char *const files[] = {"manifest.json", "lexical-*.seg", "vectors-*.seg"};
    for (int i = 0; i < 3; i++) {
        char line[512];
        fresh_copy();
        snprintf(
            line, sizeof line,
            "for f in broken/index/%s; do printf XX | dd of=$f bs=1 seek=70 conv=notrunc; done",
            files[i]);
        assert_int_equal(shell(line), 0);
        assert_int_equal(raglan("check --save_dir broken"), 1);
        assert_int_equal(raglan("check --repair --save_dir broken"), 0);
        assert_says(out, "`raglan index --save_dir broken` makes them again");
        raglan_ok("index --save_dir broken");
        raglan_ok("search lighthouse --mode dense --save_dir broken");
        raglan_ok("check --save_dir broken");
    }
}

static void a_damaged_database_is_named(void **state) {
    (void)state;
    fresh_copy();
    assert_int_equal(shell("printf 'no database at all' >broken/collection.db"), 0);
    refused("broken/collection.db", "search lighthouse --save_dir broken");
    refused("broken/collection.db", "ingest town --save_dir broken");
    assert_int_equal(shell("rm -f broken/collection.db*; : >broken/tokenizer/wiki.model"), 0);
    refused("broken: holds no collection yet", "search lighthouse --save_dir broken");
    fresh_copy();
    assert_int_equal(shell(": >broken/tokenizer/wiki.model"), 0);
    refused("broken/tokenizer/wiki.model", "search lighthouse --save_dir broken");
    assert_int_equal(raglan("check --save_dir broken"), 1);
    assert_says(out, "wiki.model: not a usable SentencePiece model");
    assert_says(out, "raglan train tokenizer --new_model --save_dir broken");
    fresh_copy();
    assert_int_equal(shell("truncate -s 3000 broken/collection.db"), 0);
    refused("is damaged (opening: ", "check --repair --save_dir broken");
    refused("put it back from a copy, or move it away", "search lighthouse --save_dir broken");
}

/* ---- places ---- */

static void a_home_that_is_a_file_is_refused(void **state) {
    (void)state;
    temp_text("file", "text");
    refused("file: is a file, wanted a folder", "ingest town --save_dir file");
    refused("file: is a file, wanted the folder of a collection", "search x --save_dir file");
    refused("file: is a file, wanted a folder", "ingest town --save_dir file/below");
}

static void an_input_that_is_not_there_does_not_keep_the_others_out(void **state) {
    (void)state;
    assert_int_equal(raglan("ingest nothing.md town --save_dir fresh"), 1);
    assert_says(err, "error: nothing.md: no such file or folder; the other paths were read");
    assert_says(out, "3 added");
    raglan_ok("list --save_dir fresh");
    assert_non_null(strstr(out, "town/"));
}

static void an_unwritable_folder_is_named(void **state) {
    (void)state;
    if (geteuid() == 0) { /* root may write anywhere but into what is no disk */
        refused("/proc/raglan", "ingest town --save_dir /proc/raglan");
        refused("/proc/raglan", "sample /proc/raglan");
        return;
    }
    assert_int_equal(shell("mkdir locked && chmod 555 locked"), 0);
    refused("locked", "ingest town --save_dir locked");
    refused("locked", "sample locked/world");
}

/* A file size limit ends writes as a full disk does. */
static void a_full_disk_is_said_and_loses_nothing(void **state) {
    (void)state;
    const struct {
        const char *line;
        int blocks; /* of 512 bytes, or 1024 as some shells count */
    } jobs[] = {
        {"ingest world --save_dir full", 60},
        {"index --save_dir full", 4},
        {"train all --num_iters 2 --save_dir full " TINY, 16},
    };
    raglan_ok("sample world --articles 40");
    assert_int_equal(shell("rm -rf full && cp -r plain full"), 0);
    for (int i = 0; i < 3; i++) {
        char line[1024];
        snprintf(line, sizeof line, "(trap '' XFSZ; ulimit -f %d; exec %s %s)", jobs[i].blocks,
                 RAGLAN_PROGRAM, jobs[i].line);
        if (shell(line) != 1) fail_msg("%s: %s", jobs[i].line, err);
        assert_says(err, "raglan: error: ");
        raglan_ok("search lighthouse --save_dir full"); /* what was there is there */
        assert_says(out, "Belmora Light");
        raglan_ok("%s", jobs[i].line); /* with room again */
        raglan_ok("check --save_dir full");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_names_its_command),
        cmocka_unit_test(an_empty_collection_trains_nothing),
        cmocka_unit_test(a_collection_without_questions_gets_a_retriever),
        cmocka_unit_test(answers_in_no_passage_are_said),
        cmocka_unit_test(a_question_without_words_is_refused),
        cmocka_unit_test(a_question_longer_than_the_model_is_cut),
        cmocka_unit_test(more_passages_than_there_are_is_all_of_them),
        cmocka_unit_test(wrong_values_are_wrong_usage),
        cmocka_unit_test(a_vocabulary_beyond_the_text_becomes_the_largest_possible),
        cmocka_unit_test(another_architecture_is_refused_with_both_values),
        cmocka_unit_test(a_flipped_bit_in_a_checkpoint_is_found),
        cmocka_unit_test(a_truncated_checkpoint_is_found),
        cmocka_unit_test(a_checkpoint_of_foreign_shapes_is_found),
        cmocka_unit_test(an_index_of_another_model_falls_back_to_words),
        cmocka_unit_test(models_of_another_tokenizer_name_the_way_on),
        cmocka_unit_test(damaged_search_files_are_made_again),
        cmocka_unit_test(a_damaged_database_is_named),
        cmocka_unit_test(a_home_that_is_a_file_is_refused),
        cmocka_unit_test(an_input_that_is_not_there_does_not_keep_the_others_out),
        cmocka_unit_test(an_unwritable_folder_is_named),
        cmocka_unit_test(a_full_disk_is_said_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, make_home, NULL);
}
