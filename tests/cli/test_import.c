/* raglan import: the tiny encoder of tests/golden/bert as the retriever of a collection, through
 * everything that a retriever is for; and folders that are none. */
#include <math.h>

#include "cmocka_all.h"
#include "tiny.h"

#define FOLDER TEST_DIR "/golden/bert"

static int make_home(void **state) {
    (void)state;
    write_town();
    raglan_ok("ingest town questions.jsonl --save_dir home");
    raglan_ok("ingest --split test test.jsonl --save_dir home");
    raglan_ok("import hf %s --save_dir home", FOLDER);
    assert_says(out, "imported; next: raglan index --save_dir home");
    raglan_ok("train tokenizer --vocab_size 400 --save_dir home");
    return 0;
}

static void embedding_needs_the_import_alone(void **state) {
    (void)state;
    raglan_ok("import hf %s --save_dir bare", FOLDER);
    raglan_ok("embed --save_dir bare %s/lines --format json", temp_root);
}

static void vectors_are_the_published_ones(void **state) {
    (void)state;
    json_t *expected = NULL, *got = NULL;
    assert_int_equal(json_read(FOLDER "/expected.json", &expected), OK);
    temp_text("lines", "The cat sat on the mat.\n");
    raglan_ok("embed lines --save_dir home");
    assert_int_equal(json_parse(out, strlen(out), "embed", &got), OK);
    const json_t *want = json_array_get(json_object_get(expected, "mean"), 0);
    assert_int_equal(json_array_size(got), 8);
    for (size_t i = 0; i < 8; i++) /* bf16 where the processor multiplies in it */
        assert_true(fabs(json_number_value(json_array_get(got, i)) -
                         json_number_value(json_array_get(want, i))) < 0.05);
    json_decref(expected);
    json_decref(got);
}

static void an_index_is_searched_with_it(void **state) {
    (void)state;
    raglan_ok("index --save_dir home");
    raglan_ok("search 'who built the tree?' --mode dense --json --save_dir home");
    json_t *j = out_json();
    assert_int_equal(json_array_size(json_object_get(j, "hits")), 3);
    json_decref(j);
    raglan_ok("eval --part retrieval --json --save_dir home");
    j = out_json();
    assert_non_null(json_object_get(json_object_get(j, "retrieval"), "dense"));
    assert_null(json_object_get(j, "vectors_against_f32"));
    json_decref(j);
    raglan_ok("eval --part retrieval --precision int8 --json --save_dir home");
    j = out_json();
    const json_t *cost = json_object_get(j, "vectors_against_f32");
    assert_true(json_num(cost, "mean", 0) > .97 && json_num(cost, "mean", 0) < 1);
    assert_true(json_num(cost, "least", 1) <= json_num(cost, "mean", 0));
    json_decref(j);
    raglan_ok("info --json --save_dir home");
    j = out_json();
    const json_t *stale = json_object_get(j, "stale");
    assert_int_equal(json_array_size(stale), 0);
    assert_int_equal(json_int(json_object_get(j, "index"), "vectors", 0), 3);
    json_decref(j);
}

static void training_goes_on_from_it(void **state) {
    (void)state;
    raglan_ok("train retriever --save_dir home");
    assert_says(err, "retriever is trained (0 steps");
    raglan_ok("train retriever --num_iters 2 --batch_size 2 --save_dir home");
    assert_says(err, "fine-tuning retriever checkpoint");
    assert_int_equal(raglan("train retriever --num_iters 2 --dim 16 --save_dir home"), 1);
    assert_says(err, "is of another architecture: ");
    assert_says(err, "dim");
    raglan_ok("index --save_dir home");
    raglan_ok("search 'who ran?' --save_dir home");
}

static void a_generator_reads_the_collections_own_tokens(void **state) {
    (void)state;
    raglan_ok("train generator --num_iters 1 " TINY " --save_dir home");
    raglan_ok("ask 'Who built the lighthouse?' --json --save_dir home");
    raglan_ok("train all --save_dir home");
    assert_says(err, "the retriever is trained: kept");
    raglan_ok("eval --save_dir home");
}

static void a_new_model_replaces_it(void **state) {
    (void)state;
    raglan_ok("train retriever --new_model --num_iters 1 " TINY " --save_dir home");
    raglan_ok("index --save_dir home");
    raglan_ok("info --json --save_dir home");
    json_t *j = out_json();
    assert_int_equal(json_int(json_object_get(j, "index"), "dim", 0), 16);
    json_decref(j);
}

static void what_cannot_be_imported_is_said(void **state) {
    (void)state;
    assert_int_equal(raglan("import gguf %s --save_dir home", FOLDER), 2);
    assert_says(err, "cannot import 'gguf'; wanted hf");
    assert_int_equal(raglan("import hf nowhere --save_dir home"), 1);
    assert_says(err, "nowhere is no folder, wanted one with config.json");
    assert_int_equal(raglan("import hf town --save_dir home"), 1);
    assert_says(err, "holds neither tokenizer.json nor vocab.txt");
    assert_int_equal(shell("cp -r " FOLDER " odd && rm odd/model.safetensors"), 0);
    assert_int_equal(raglan("import hf odd --save_dir home"), 1);
    assert_says(err, "odd/model.safetensors is not there");
    assert_int_equal(shell("head -c 4000 " FOLDER "/model.safetensors >odd/model.safetensors"), 0);
    assert_int_equal(raglan("import hf odd --save_dir home"), 1);
    assert_says(err, "cut short");
    assert_int_equal(shell("sed -i 's/\"bert\"/\"gpt2\"/' odd/config.json"), 0);
    assert_int_equal(raglan("import hf odd --save_dir home"), 1);
    assert_says(err, "model_type is 'gpt2', wanted 'bert'");
    assert_int_equal(shell("rm odd/tokenizer.json && printf 'a\\n[UNK]\\n' >odd/vocab.txt && "
                           "cp " FOLDER "/config.json odd"),
                     0);
    assert_int_equal(raglan("import hf odd --save_dir home"), 1);
    assert_says(err, "the vocabulary has no [CLS]");
    raglan_ok("search 'who ran?' --save_dir home"); /* nothing of it has touched the home */
}

static void a_damaged_tokenizer_is_refused(void **state) {
    (void)state;
    raglan_ok("import hf %s --save_dir broken", FOLDER);
    assert_int_equal(shell("sed -i 's/##happ/##hopp/' broken/tokenizer/*.json"), 0);
    assert_int_equal(raglan("embed lines --save_dir broken"), 1);
    assert_says(err, "damaged: its bytes hash to");
    assert_int_equal(shell("rm broken/tokenizer/*.json"), 0);
    assert_int_equal(raglan("embed lines --save_dir broken"), 1);
    assert_says(err, "is not there; put it back from a copy, or run `raglan import hf DIR");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_the_published_ones),
        cmocka_unit_test(embedding_needs_the_import_alone),
        cmocka_unit_test(an_index_is_searched_with_it),
        cmocka_unit_test(training_goes_on_from_it),
        cmocka_unit_test(a_generator_reads_the_collections_own_tokens),
        cmocka_unit_test(a_new_model_replaces_it),
        cmocka_unit_test(what_cannot_be_imported_is_said),
        cmocka_unit_test(a_damaged_tokenizer_is_refused),
    };
    return cmocka_run_group_tests(tests, make_home, NULL);
}
