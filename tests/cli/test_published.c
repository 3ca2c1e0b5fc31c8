/* The published form from end to end: the four documented lines on a small folder in TriviaQA's
 * layout, with small models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cmocka_all.h"
#include "temp.h"
#include "util/file.h"

#define SMALL "--dim 16 --num_heads 2 --num_blocks 1 --embedding_dim 8 --threads 1 "

static char out[1 << 16], err[1 << 16];

static void slurp(const char *path, char *to, size_t size) {
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    snprintf(to, size, "%s", b.at);
    buf_clear(&b);
}

/* Runs `INPUT | raglan LINE` in the test's folder; its exit code. */
static int raglan_told(const char *input, const char *line) {
    char command[4096];
    snprintf(command, sizeof command, "cd %s && printf '%s' | %s %s >out 2>err", temp_path("."),
             input, RAGLAN_PROGRAM, line);
    int how = system(command);
    slurp(temp_path("out"), out, sizeof out);
    slurp(temp_path("err"), err, sizeof err);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static int raglan(const char *line) {
    return raglan_told("", line);
}

/* The line must succeed. */
static void works(const char *input, const char *line) {
    int code = raglan_told(input, line);
    if (code) fail_msg("exit %d of: raglan %s\n%s", code, line, err);
}

/* Towns and their rivers, in TriviaQA's layout: src/qa, src/evidence. */
static void write_source(void) {
    static const char *const towns[] = {"Abbeyford", "Brackton", "Corwick",  "Dunmore",
                                        "Eastholm",  "Fernley",  "Garston",  "Hollin",
                                        "Ivelow",    "Jarrick",  "Kelderby", "Lynmouth"};
    static const char *const rivers[] = {"Arun",  "Brent", "Cam",    "Dove", "Exe",    "Fal",
                                         "Gwash", "Hull",  "Itchen", "Jed",  "Kennet", "Lune"};
    buf qa = {0};
    assert_int_equal(file_make_folders(temp_path("src/qa")), OK);
    assert_int_equal(file_make_folders(temp_path("src/evidence/wikipedia")), OK);
    buf_puts(&qa, "{\"Data\": [");
    for (int i = 0; i < 12; i++) {
        char name[64], text[512];
        snprintf(name, sizeof name, "src/evidence/wikipedia/%s.txt", towns[i]);
        snprintf(text, sizeof text,
                 "%s is an old market town.\n\nIt lies on the river %s, which floods in spring. "
                 "Its church has %d bells and a crooked spire.\n",
                 towns[i], rivers[i], i + 3);
        temp_text(name, text);
        buf_printf(&qa,
                   "%s{\"QuestionId\": \"t%d\", \"Question\": \"Which river does %s lie on?\", "
                   "\"Answer\": {\"Value\": \"%s\", \"Aliases\": [\"%s\", \"River %s\"]}, "
                   "\"EntityPages\": [{\"Filename\": \"%s.txt\", \"Title\": \"%s\"}]}",
                   i ? "," : "", i, towns[i], rivers[i], rivers[i], rivers[i], towns[i], towns[i]);
    }
    buf_puts(&qa, "], \"Split\": \"train\"}");
    temp_file("src/qa/wikipedia-train.json", qa.at, qa.len);
    buf_clear(&qa);
}

static void the_four_documented_lines_work(void **state) {
    (void)state;
    write_source();
    works("", "--target dataset --from_dir src --to_dir D --save_dir H --vocab_size 600");
    assert_non_null(strstr(err, "documents: 12 added, 0 unchanged"));
    assert_true(file_exists(temp_path("D/qa/wikipedia-train-simplified.json")));
    assert_true(file_exists(temp_path("H/tokenizer/wiki.model")));

    works("", "--target retriever --batch_size 8 --num_iters 4 --save_dir H " SMALL);
    assert_non_null(strstr(err, "training retriever"));

    works("", "--target all --batch_size 2 --num_iters 3 --top_k 4 --gpu --save_dir H " SMALL);
    assert_non_null(strstr(err, "--gpu: no CUDA device can be used here; going on with the CPU"));
    assert_non_null(strstr(err, "the retriever is there (step 4 of 4): used as it is"));
    assert_non_null(strstr(err, "training generator"));

    works("Which river does Corwick lie on?\\nquit\\n",
          "--target all --inference --top_k 3 --save_dir H");
    assert_non_null(strstr(err, ">>> "));
    assert_non_null(strstr(out, "\nsources (confidence "));
    assert_non_null(strstr(out, "evidence/wikipedia/"));
    assert_non_null(strstr(err, "bye bye!\n")); /* no answer: not on stdout */

    works("Which river does Corwick lie on?\\n",
          "--target retriever --inference --top_k 3 --save_dir H");
    assert_memory_equal(out, "[1] ", 4);
    assert_non_null(strstr(out, "\n[3] "));
    assert_null(strstr(out, "\n[4] "));

    works("", "--target none --save_dir H");
    assert_non_null(strstr(out, "12"));

    works("", "--target dataset --from_dir src --to_dir D --save_dir H --vocab_size 600");
    assert_non_null(strstr(err, "documents: 0 added, 12 unchanged, 0 replaced, 0 skipped; "
                                "questions: 0 added, 12 unchanged"));
    assert_non_null(strstr(err, "wiki.model is there: kept"));
}

static void all_makes_what_is_missing(void **state) {
    (void)state;
    write_source();
    works("", "--target all --from_dir src --to_dir D2 --save_dir H2 --vocab_size 600 "
              "--num_iters 2 --batch_size 2 --top_k 3 " SMALL);
    assert_non_null(strstr(err, "training retriever"));
    assert_non_null(strstr(err, "training generator"));
}

static void wrong_usage_is_said(void **state) {
    (void)state;
    assert_int_equal(raglan("--target some"), 2);
    assert_non_null(strstr(err, "--target: found 'some', wanted none, dataset, retriever or all"));
    assert_int_equal(raglan("--inference --save_dir H3"), 2);
    assert_int_equal(raglan("--target dataset --save_dir H3"), 2);
    assert_non_null(strstr(err, "--from_dir is missing"));
    assert_int_equal(raglan("--target retriever --num-itres 3"), 2);
    assert_non_null(strstr(err, "the nearest known is --num_iters"));
}

static void what_must_come_first_is_named(void **state) {
    (void)state;
    assert_int_equal(raglan("--target retriever --save_dir H4"), 1);
    assert_non_null(strstr(err, "H4 holds no documents yet: run `raglan --target dataset"));
    assert_int_equal(raglan("--target all --inference --save_dir H4"), 1);
    assert_non_null(strstr(err, "H4 has no generator yet"));
    assert_int_equal(raglan("--target retriever --inference --save_dir H4"), 1);
    assert_non_null(strstr(err, "has no retriever yet: run `raglan --target retriever"));
}

/* Runs a line in the background (bash -m: else SIGINT would be ignored there) and sends it SIGINT
 * after its first report line; its exit code. */
static int interrupted(const char *line) {
    char script[2048], command[1024];
    snprintf(script, sizeof script,
             "cd %s; rm -f err; %s %s >out 2>err & p=$!\n"
             "for i in $(seq 600); do grep -q '^Iter ' err && break; sleep .05; done\n"
             "kill -INT $p; wait $p\n",
             temp_path("."), RAGLAN_PROGRAM, line);
    snprintf(command, sizeof command, "bash -m %s 2>/dev/null", temp_text("interrupt.sh", script));
    int how = system(command);
    slurp(temp_path("err"), err, sizeof err);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void an_interrupt_saves_and_the_same_line_goes_on(void **state) {
    (void)state;
    static const char line[] =
        "--target retriever --num_iters 1000000 --batch_size 8 --save_dir H5 " SMALL;
    write_source();
    works("", "--target dataset --from_dir src --to_dir D5 --save_dir H5 --vocab_size 600");
    assert_int_equal(interrupted(line), 130);
    const char *stopped = strstr(err, "stopped at step ");
    assert_non_null(stopped);
    int first = atoi(stopped + 16);
    assert_true(first >= 10);
    assert_int_equal(interrupted(line), 130);
    stopped = strstr(err, "stopped at step ");
    assert_non_null(stopped);
    assert_true(atoi(stopped + 16) > first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_four_documented_lines_work),
        cmocka_unit_test(all_makes_what_is_missing),
        cmocka_unit_test(wrong_usage_is_said),
        cmocka_unit_test(what_must_come_first_is_named),
        cmocka_unit_test(an_interrupt_saves_and_the_same_line_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
