/* `raglan eval` on a small encyclopedia without a trained model: BM25's figures, the files it
 * writes and reads, and what it says when something lacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cmocka_all.h"
#include "temp.h"
#include "util/json.h"

static char out[1 << 16], err[1 << 16];

static void slurp(const char *path, char *to, size_t size) {
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    snprintf(to, size, "%s", b.at ? b.at : "");
    buf_clear(&b);
}

/* Runs `raglan LINE` in the test's folder; its exit code; out and err hold what it printed. */
static int raglan(const char *line) {
    char command[2048];
    snprintf(command, sizeof command, "cd %s && %s %s >out 2>err", temp_path(""), RAGLAN_PROGRAM,
             line);
    int how = system(command);
    slurp(temp_path("out"), out, sizeof out);
    slurp(temp_path("err"), err, sizeof err);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void says(const char *sentence) {
    if (!strstr(err, sentence)) fail_msg("wanted '%s' in: %s", sentence, err);
}

/* The report of a run that succeeds. */
static json_t *report(const char *line) {
    json_t *j = NULL;
    if (raglan(line) != 0) fail_msg("raglan %s: %s", line, err);
    assert_int_equal(json_parse(out, strlen(out), "report", &j), OK);
    return j;
}

static json_t *bm25(const json_t *report) {
    return json_object_get(json_object_get(report, "retrieval"), "bm25");
}

static int a_collection(void **state) {
    (void)state;
    return raglan("sample world --articles 30 --seed 5") ||
           raglan("ingest --save_dir home world") || raglan("index --save_dir home");
}

static void figures_of_bm25_stand_alone_without_models(void **state) {
    (void)state;
    json_t *j = report("eval --save_dir home --json");
    says("no figures of dense and hybrid");
    says("`raglan train retriever --save_dir home`");
    says("no answers: home has no generator yet");
    assert_null(json_object_get(json_object_get(j, "retrieval"), "hybrid"));
    assert_null(json_object_get(j, "answers"));
    assert_string_equal(json_str(j, "split", ""), "test");
    assert_int_equal(json_int(j, "seed", 0), 42);
    assert_int_equal(json_int(j, "documents", 0), 30);
    json_t *hashes = json_object_get(j, "hashes");
    assert_int_equal(strlen(json_str(hashes, "data", "")), 40);
    assert_true(json_is_null(json_object_get(hashes, "retriever")));
    double success = json_num(bm25(j), "success@5", 0);
    assert_true(success > .5 && success <= 1);
    assert_true(json_int(bm25(j), "questions", 0) < json_int(j, "questions", 0)); /* unanswerable */
    json_decref(j);
}

/* recip_rank of trec_eval over the first ten is mrr@10. */
static void score_trec_gives_the_same_figures(void **state) {
    (void)state;
    json_t *j = report("eval --save_dir home --json --run run --qrels qrels");
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "num_q                 \tall\t%d\nrecip_rank            \tall\t%6.4f\n"
             "ndcg_cut_10           \tall\t%6.4f\n",
             (int)json_int(bm25(j), "questions", 0), json_num(bm25(j), "mrr@10", 0),
             json_num(bm25(j), "ndcg@10", 0));
    json_decref(j);
    assert_int_equal(raglan("score trec -c -M 10 -m num_q -m recip_rank -m ndcg_cut.10 qrels run"),
                     0);
    assert_string_equal(out, wanted);
}

static void the_same_command_gives_the_same_run(void **state) {
    (void)state;
    assert_int_equal(raglan("eval --save_dir home --run run1 --threads 1"), 0);
    assert_int_equal(raglan("eval --save_dir home --run run3 --threads 3"), 0);
    static char once[1 << 20], again[1 << 20];
    slurp(temp_path("run1"), once, sizeof once);
    slurp(temp_path("run3"), again, sizeof again);
    assert_string_equal(once, again);
}

static void judgements_that_are_there_decide(void **state) {
    (void)state;
    assert_int_equal(raglan("eval --save_dir home --run first --qrels given --limit 3"), 0);
    json_t *j = report("eval --save_dir home --json --qrels given");
    says("relevant is what given says");
    assert_int_equal(json_int(bm25(j), "questions", 0), 3);
    assert_string_equal(json_str(json_object_get(j, "settings"), "relevant", ""), "qrels");
    json_decref(j);
}

static void a_table_is_for_people(void **state) {
    (void)state;
    assert_int_equal(raglan("eval --save_dir home --split dev --part retrieval"), 0);
    assert_non_null(strstr(out, " questions of split dev, 30 documents, "));
    assert_non_null(strstr(out, "\nbm25   "));
    assert_non_null(strstr(out, "\n  one_hop   "));
}

static void what_lacks_is_said_with_the_command_that_makes_it(void **state) {
    (void)state;
    assert_int_equal(raglan("eval --save_dir home --part answers"), 1);
    says("raglan train generator --save_dir home");
    assert_int_equal(raglan("eval --save_dir home --mode dense"), 1);
    says("raglan train retriever --save_dir home");
    assert_int_equal(raglan("eval --save_dir nowhere"), 1);
    assert_int_equal(raglan("ingest --save_dir bare world/docs"), 0);
    assert_int_equal(raglan("index --save_dir bare"), 0);
    assert_int_equal(raglan("eval --save_dir bare"), 1);
    says("no questions of split test: add some with `raglan ingest --split test");
    temp_text("more.txt", "Apples grow on trees.");
    assert_int_equal(raglan("ingest --save_dir bare more.txt"), 0);
    assert_int_equal(raglan("eval --save_dir bare"), 1);
    says("not indexed yet in bare: 1 document and 0 passages; run `raglan index");
    assert_string_equal(out, "");
}

static void a_file_that_cannot_be_written_is_said_before_the_work(void **state) {
    (void)state;
    assert_int_equal(raglan("eval --save_dir home --run no/such/folder/run"), 1);
    says("no/such/folder/run");
    assert_int_equal(raglan("eval --save_dir home --part retrieval --predictions p"), 2);
    assert_int_equal(raglan("eval --save_dir home --part answers --run r"), 2);
    assert_int_equal(raglan("eval --save_dir home --split tset"), 2);
}

/* Passages come from the corpus in the one and from the store in the other. */
static void search_scores_as_eval_does(void **state) {
    (void)state;
    static char run[1 << 20], questions[1 << 20];
    char line[1024], id[128], unit[256];
    double score;
    assert_int_equal(raglan("train retriever --save_dir home --num_iters 3 --dim 16 --num_heads 2 "
                            "--num_blocks 1 --batch_size 8"),
                     0);
    assert_int_equal(raglan("index --save_dir home"), 0);
    assert_int_equal(raglan("eval --save_dir home --part retrieval --run hybrid"), 0);
    slurp(temp_path("hybrid"), run, sizeof run);
    slurp(temp_path("world/questions.test.jsonl"), questions, sizeof questions);
    json_t *q = json_loads(questions, JSON_DISABLE_EOF_CHECK, NULL);
    snprintf(id, sizeof id, "%s Q0 ", json_str(q, "id", ""));
    const char *best = strstr(run, id);
    assert_non_null(best);
    assert_int_equal(sscanf(best, "%*s Q0 %255s 1 %lf", unit, &score), 2);
    snprintf(line, sizeof line, "search --save_dir home --mode hybrid --json \"%s\"",
             json_str(q, "question", ""));
    json_t *j = report(line), *hit = json_array_get(json_object_get(j, "hits"), 0);
    assert_float_equal(json_num(hit, "score", 0), score, 1e-4);
    assert_int_equal(
        strncmp(unit, json_str(hit, "document", "?"), strlen(json_str(hit, "document", "?"))), 0);
    json_decref(q);
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_bm25_stand_alone_without_models),
        cmocka_unit_test(score_trec_gives_the_same_figures),
        cmocka_unit_test(the_same_command_gives_the_same_run),
        cmocka_unit_test(judgements_that_are_there_decide),
        cmocka_unit_test(a_table_is_for_people),
        cmocka_unit_test(what_lacks_is_said_with_the_command_that_makes_it),
        cmocka_unit_test(a_file_that_cannot_be_written_is_said_before_the_work),
        cmocka_unit_test(search_scores_as_eval_does), /* last: home has a retriever now */
    };
    return cmocka_run_group_tests(tests, a_collection, NULL);
}
