/* Interrupted jobs: Ctrl+C once and twice, and kill -9 at any moment. The same command again
 * ends as if nothing had happened: same documents, same bytes of the models, same index. */
#include "cmocka_all.h"
#include "tiny.h"

/* What a home holds, as far as a user can tell: documents, questions, checkpoints, hits. */
static char *contents(const char *home) {
    static const char *const lines[] = {
        "list", "list --questions", "info --json",
        "search 'Who designed the winder of the river?' --mode bm25 --top_k 20 --json"};
    buf b = {0};
    for (int i = 0; i < 4; i++) {
        raglan_ok("%s --save_dir %s 2>&1", lines[i], home);
        if (i != 2) {
            buf_puts(&b, out);
            continue;
        }
        json_t *j = out_json();
        json_object_del(json_object_get(j, "index"), "generation"); /* how often, not what */
        size_t at;
        json_t *c;
        json_array_foreach(json_object_get(j, "checkpoints"), at, c) {
            /* those that are kept differ with the moment of the stop; the last one may not */
            if (json_flag(c, "newest", false))
                buf_printf(&b, "%s %s %lld\n", json_str(c, "type", ""),
                           json_str(c, "identifier", ""), (long long)json_int(c, "step", -1));
        }
        json_object_del(j, "checkpoints");
        json_object_del(j, "stale"); /* its commands name the home */
        char *line = json_line(j);
        buf_puts(&b, line);
        free(line);
        json_decref(j);
    }
    return buf_steal(&b);
}

static void assert_same_contents(const char *home, const char *as) {
    char *a = contents(home), *b = contents(as);
    assert_string_equal(a, b);
    free(a);
    free(b);
    raglan_ok("check --save_dir %s", home);
}

static int make_world(void **state) {
    (void)state;
    raglan_ok("sample world --articles 150");
    raglan_ok("ingest world --save_dir told");
    raglan_ok("index --save_dir told");
    return 0;
}

#define RETRIEVER "train retriever --num_iters 300 --steps_per_eval 100 " TINY
#define GENERATOR                                                                                  \
    "train generator --num_iters 150 --steps_per_eval 50 --dim 16 --num_blocks 1 --num_heads 2 "   \
    "--batch_size 4"

/* ---- Ctrl+C ---- */

static void stopped_training_goes_on_to_the_same_bytes(void **state) {
    (void)state;
    assert_int_equal(shell("cp -r told whole && cp -r told parts"), 0);
    const char *const lines[] = {RETRIEVER, GENERATOR};
    const char *const moments[] = {"Iter 10:", "Iter 100: Dev", "Iter 120:"};
    for (int i = 0; i < 2; i++) {
        char line[1024];
        raglan_ok("%s --save_dir whole", lines[i]);
        snprintf(line, sizeof line, "%s --save_dir parts", lines[i]);
        for (int m = 0; m < 3; m++) {
            pid_t child = raglan_start(line);
            assert_true(raglan_says(child, moments[m]));
            kill(child, m == 1 ? SIGTERM : SIGINT);
            assert_int_equal(raglan_finish(child), 130);
            assert_says(err, "the same command goes on from there");
        }
        raglan_ok("%s --save_dir parts", lines[i]);
        assert_says(err, " goes on at step ");
    }
    raglan_ok("index --save_dir whole");
    raglan_ok("index --save_dir parts");
    assert_same_contents("parts", "whole");
}

static void stopped_twice_ends_at_once_and_intact(void **state) {
    (void)state;
    assert_int_equal(shell("cp -r told twice"), 0);
    pid_t child = raglan_start("train retriever --num_iters 100000 --steps_per_eval 30 "
                               "--save_dir twice " TINY);
    assert_true(raglan_says(child, "Iter 40:"));
    kill(child, SIGINT);
    kill(child, SIGINT);
    assert_int_equal(raglan_finish(child), 130);
    raglan_ok("check --save_dir twice");
    raglan_ok("train retriever --new_model --num_iters 1 --save_dir twice " TINY);
}

static void a_stopped_train_all_goes_on_with_the_part_it_was_in(void **state) {
    (void)state;
    assert_int_equal(shell("cp -r told all"), 0);
    const char *line = "train all --num_iters 60 --save_dir all " TINY;
    pid_t child = raglan_start(line);
    assert_true(raglan_says(child, "training generator"));
    kill(child, SIGINT);
    assert_int_equal(raglan_finish(child), 130);
    raglan_ok("train all --save_dir all");
    assert_says(err, "the retriever is trained: kept");
    raglan_ok("ask 'Who?' --save_dir all");
}

static void a_stopped_ingest_keeps_what_it_read(void **state) {
    (void)state;
    pid_t child = raglan_start("ingest - --format jsonl --save_dir piped </dev/zero");
    rest_ms(100);
    kill(child, SIGINT);
    int code = raglan_finish(child);
    assert_true(code == 130 || code == 1); /* zeros are no JSON: whichever was noticed first */
    raglan_ok("ingest world --save_dir piped");
    raglan_ok("check --save_dir piped");
}

/* ---- kill -9 ---- */

/* Runs LINE on the home, killed after ever longer times, until it ends by itself. */
static void kill_until_done(const char *line) {
    for (int ms = 4, kills = 0;; ms += 1 + ms / 3, kills++) {
        pid_t child = raglan_start(line);
        rest_ms(ms);
        kill(child, SIGKILL);
        int code = raglan_finish(child);
        if (code == 0) {
            assert_true(kills > 2);
            return;
        }
        if (code != 128 + SIGKILL) fail_msg("%s after %d kills: %s", line, kills, err);
    }
}

static void a_killed_ingest_is_completed_by_the_next(void **state) {
    (void)state;
    kill_until_done("ingest world --save_dir cut");
    raglan_ok("index --save_dir cut");
    assert_same_contents("cut", "told");
}

static void killed_training_goes_on_to_the_same_bytes(void **state) {
    (void)state;
    assert_int_equal(shell("cp -r told once && cp -r told killed"), 0);
    const char *line = "train retriever --num_iters 400 --steps_per_eval 20 " TINY;
    char again[1024];
    raglan_ok("%s --save_dir once", line);
    snprintf(again, sizeof again, "%s --save_dir killed", line);
    const char *const moments[] = {"tuning", "Iter 10:", "Iter 40:", "Iter 110:", "Iter 190:"};
    for (int i = 1; i < 5; i++) {
        pid_t child = raglan_start(again);
        assert_true(raglan_says(child, moments[i]));
        kill(child, SIGKILL);
        assert_int_equal(raglan_finish(child), 128 + SIGKILL);
        raglan_ok("check --save_dir killed");
    }
    raglan_ok("%s --save_dir killed", line);
    raglan_ok("index --save_dir once");
    raglan_ok("index --save_dir killed");
    assert_same_contents("killed", "once");
}

static void a_killed_index_is_completed_by_the_next(void **state) {
    (void)state;
    raglan_ok("ingest world --save_dir slow");
    raglan_ok("train tokenizer --vocab_size 400 --context_size 32 --save_dir slow");
    raglan_ok("train retriever --num_iters 2 --save_dir slow " TINY);
    assert_int_equal(shell("rm -r slow/index && cp -r slow fast"), 0);
    raglan_ok("index --save_dir fast");
    kill_until_done("index --save_dir slow");
    assert_same_contents("slow", "fast");
    assert_int_equal(shell("ls slow/index | sort >a; ls fast/index | sort >b; cmp a b"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_training_goes_on_to_the_same_bytes),
        cmocka_unit_test(stopped_twice_ends_at_once_and_intact),
        cmocka_unit_test(a_stopped_train_all_goes_on_with_the_part_it_was_in),
        cmocka_unit_test(a_stopped_ingest_keeps_what_it_read),
        cmocka_unit_test(a_killed_ingest_is_completed_by_the_next),
        cmocka_unit_test(killed_training_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_killed_index_is_completed_by_the_next),
    };
    return cmocka_run_group_tests(tests, make_world, NULL);
}
