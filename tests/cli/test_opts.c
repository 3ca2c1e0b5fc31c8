/* The option parser: what it takes, what it refuses and with which sentence, what it prints. */
#include "cli/opts.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "temp.h"
#include "util/file.h"
#include "util/log.h"
#include "util/par.h"

/* A command with one option of each kind; what the last parse gave. */
static struct {
    bool deep, q, c;
    int64_t top_k, l, any;
    double temperature;
    const char *note;
    int mode;
    opt_texts measures;
    opts o;
    char *argv[32];
    char said[4096]; /* on stdout and stderr */
    bool given_top_k;
} got;

static int parse_words(int argc) {
    opt table[] = {
        {"top_k", OPT_INT, &got.top_k, "10", 1, 1000, "K", "passages to show", false},
        {"any_number", OPT_INT, &got.any, NULL, 0, 0, "N", "any", false},
        {"temperature", OPT_FLOAT, &got.temperature, ".5", 0, INFINITY, "T", "how freely to sample",
         false},
        {"note", OPT_TEXT, &got.note, NULL, 0, 0, "TEXT", "kept", false},
        {"mode", OPT_CHOICE, &got.mode, "hybrid", 0, 0, "bm25|dense|hybrid|nq_open", "how to rank",
         false},
        {.help = "As trec_eval"},
        {"deep", OPT_FLAG, &got.deep, NULL, 0, 0, NULL, "look everywhere", false},
        {"q", OPT_FLAG, &got.q, NULL, 0, 0, NULL, "each question", false},
        {"c", OPT_FLAG, &got.c, NULL, 0, 0, NULL, "complete", false},
        {"l", OPT_INT, &got.l, "1", 1, 9, "N", "least relevance", false},
        {"m", OPT_TEXTS, &got.measures, NULL, 0, 0, "MEASURE", "a measure", false},
    };
    got.any = -5;
    got.note = "before";
    got.measures.n = 0;
    got.o = (opts){.command = "search",
                   .arguments = "QUESTION [FILE]",
                   .about = "Finds passages.\n\nLonger words about it.\n\n  an example",
                   .min_args = 1,
                   .max_args = 2,
                   .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED | OPTS_GPU | OPTS_JSON,
                   OPTS_TABLE(table)};
    int code = opts_parse(&got.o, argc, got.argv);
    got.given_top_k = opts_given(&got.o, "top_k");
    got.o.options = NULL; /* the table ends here */
    return code;
}

/* Splits the line at blanks, parses it, keeps what was printed. */
static int parse(const char *line) {
    static char words[1024];
    int argc = 0;
    snprintf(words, sizeof words, "search %s", line);
    for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) got.argv[argc++] = w;
    got.argv[argc] = NULL;
    fflush(NULL);
    int out = dup(1), err = dup(2), fd = open(temp_path("said"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1), dup2(fd, 2);
    int code = parse_words(argc);
    fflush(NULL);
    dup2(out, 1), dup2(err, 2);
    ssize_t n = pread(fd, got.said, sizeof got.said - 1, 0);
    got.said[n > 0 ? n : 0] = 0;
    close(out), close(err), close(fd);
    return code;
}

static void assert_goes(const char *line) {
    assert_int_equal(parse(line), -1);
    assert_string_equal(got.said, "");
}

static void assert_refused(const char *line, const char *sentence) {
    assert_int_equal(parse(line), 2);
    char wanted[512];
    snprintf(wanted, sizeof wanted, "raglan search: %s (see raglan help search)\n", sentence);
    assert_string_equal(got.said, wanted);
}

static void defaults_hold_where_nothing_is_given(void **state) {
    (void)state;
    unsetenv("RAGLAN_HOME");
    assert_goes("why");
    assert_int_equal(got.top_k, 10);
    assert_false(got.given_top_k);
    assert_int_equal(got.any, -5);
    assert_true(got.temperature == .5);
    assert_string_equal(got.note, "before");
    assert_int_equal(got.mode, 2);
    assert_false(got.deep);
    assert_int_equal(got.o.seed, 42);
    assert_int_equal(got.o.threads, 0);
    assert_string_equal(got.o.home, "raglan-home");
    assert_false(got.o.gpu || got.o.json || got.o.quiet || got.o.verbose);
}

static void dash_and_underscore_are_equal_and_both_ways_of_giving_work(void **state) {
    (void)state;
    assert_goes("why --top-k 7 --any_number=-3 --temperature=1e-2 --note=a=b --mode nq-open "
                "--save-dir H --deep");
    assert_int_equal(got.top_k, 7);
    assert_true(got.given_top_k);
    assert_int_equal(got.any, -3);
    assert_true(got.temperature == 1e-2);
    assert_string_equal(got.note, "a=b");
    assert_int_equal(got.mode, 3);
    assert_true(got.deep);
    assert_string_equal(got.o.home, "H");
    assert_goes("why --top_k=8 --top_k 9 --deep=no --any-number -4 --note=");
    assert_int_equal(got.top_k, 9);
    assert_false(got.deep);
    assert_int_equal(got.any, -4);
    assert_string_equal(got.note, "");
}

static void arguments_are_collected_in_order(void **state) {
    (void)state;
    assert_goes("one --top_k 3 -");
    assert_int_equal(got.o.n_args, 2);
    assert_string_equal(got.o.args[0], "one");
    assert_string_equal(got.o.args[1], "-");
    assert_goes("--deep -- --top_k");
    assert_int_equal(got.o.n_args, 1);
    assert_string_equal(got.o.args[0], "--top_k");
    assert_goes("-7");
    assert_string_equal(got.o.args[0], "-7");
}

static void short_options_may_be_joined(void **state) {
    (void)state;
    assert_goes("x -qc -l 2 -m map -m P.5");
    assert_true(got.q && got.c);
    assert_int_equal(got.l, 2);
    assert_int_equal(got.measures.n, 2);
    assert_string_equal(got.measures.at[0], "map");
    assert_string_equal(got.measures.at[1], "P.5");
    assert_goes("x -ql3");
    assert_true(got.q && !got.c);
    assert_int_equal(got.l, 3);
    assert_int_equal(parse("x -qx"), 2);
}

static void the_home_is_option_then_environment_then_default(void **state) {
    (void)state;
    setenv("RAGLAN_HOME", "/from/environment", 1);
    assert_goes("why");
    assert_string_equal(got.o.home, "/from/environment");
    assert_goes("why --save_dir here");
    assert_string_equal(got.o.home, "here");
    setenv("RAGLAN_HOME", "", 1);
    assert_goes("why");
    assert_string_equal(got.o.home, "raglan-home");
    unsetenv("RAGLAN_HOME");
}

static void an_unknown_option_hears_the_nearest_name(void **state) {
    (void)state;
    assert_refused("why --topk 3", "unknown option '--topk', the nearest known is --top_k");
    assert_refused("why --temprature=3",
                   "unknown option '--temprature=3', the nearest known is --temperature");
    assert_refused("why --thread 2", "unknown option '--thread', the nearest known is --threads");
    assert_refused("why -z", "unknown option '-z', the nearest known is -q");
}

static void a_bad_value_hears_what_was_wanted(void **state) {
    (void)state;
    assert_refused("why --top_k 0", "--top_k: found '0', wanted a whole number from 1 to 1000");
    assert_refused("why --top_k=1001",
                   "--top_k: found '1001', wanted a whole number from 1 to 1000");
    assert_refused("why --top_k ten", "--top_k: found 'ten', wanted a whole number from 1 to 1000");
    assert_refused("why --top_k 7.5", "--top_k: found '7.5', wanted a whole number from 1 to 1000");
    assert_refused("why --top_k=", "--top_k: found '', wanted a whole number from 1 to 1000");
    assert_refused("why --any_number 99999999999999999999",
                   "--any_number: found '99999999999999999999', wanted a whole number");
    assert_refused("why --temperature nan",
                   "--temperature: found 'nan', wanted a number of at least 0");
    assert_refused("why --temperature inf",
                   "--temperature: found 'inf', wanted a number of at least 0");
    assert_refused("why --temperature 1e999",
                   "--temperature: found '1e999', wanted a number of at least 0");
    assert_refused("why --temperature -1",
                   "--temperature: found '-1', wanted a number of at least 0");
    assert_refused(
        "why --mode bm52",
        "--mode: found 'bm52', wanted bm25, dense, hybrid or nq_open; the nearest is bm25");
    assert_refused("why --deep=maybe", "--deep: found 'maybe', wanted yes or no");
    assert_refused("why -l 10", "-l: found '10', wanted a whole number from 1 to 9");
    assert_refused("why --threads 0", "--threads: found '0', wanted a whole number from 1 to 1024");
}

static void a_missing_value_is_not_taken_from_the_next_option(void **state) {
    (void)state;
    assert_refused("why --note", "--note: found nothing, wanted TEXT");
    assert_refused("why --note --deep", "--note: found '--deep', wanted TEXT: a value that begins "
                                        "with -- is given as --name=value");
    assert_goes("why --note=--deep");
    assert_string_equal(got.note, "--deep");
}

static void the_number_of_arguments_is_checked(void **state) {
    (void)state;
    assert_refused("", "found no argument, wanted QUESTION [FILE]");
    assert_refused("a b c", "found one argument too many, 'c', wanted QUESTION [FILE]");
    assert_refused("a --quiet --verbose", "--quiet and --verbose exclude each other");
}

static void threads_and_log_level_are_set(void **state) {
    (void)state;
    assert_goes("why --threads 3 --quiet");
    assert_int_equal(par_threads(), 3);
    assert_int_equal(log_level_get(), LOG_WARN);
    assert_goes("why --verbose");
    assert_int_equal(log_level_get(), LOG_DEBUG);
    assert_goes("why");
    assert_int_equal(log_level_get(), LOG_INFO);
}

static void help_comes_from_the_table(void **state) {
    (void)state;
    assert_int_equal(parse("--nonsense --help"), 0);
    assert_non_null(strstr(got.said,
                           "raglan search QUESTION [FILE] [options]\n\nFinds passages.\n\n"
                           "Longer words about it.\n\n  an example\n\nOptions:\n"));
    assert_non_null(
        strstr(got.said, "\n  --top_k K                   passages to show (10; 1 to 1000)\n"));
    assert_non_null(strstr(
        got.said, "\n  --temperature T             how freely to sample (.5; at least 0)\n"));
    assert_non_null(strstr(got.said, "\n  --mode bm25|dense|hybrid|nq_open\n                       "
                                     "       how to rank (hybrid)\n"));
    assert_non_null(
        strstr(got.said, "\nAs trec_eval:\n  --deep                      look everywhere\n  -q "));
    assert_non_null(strstr(got.said, "\nShared options:\n  --save_dir DIR "));
    assert_int_equal(parse("-h"), 0);
    assert_int_equal(parse("-- --help"), -1); /* an argument */
    for (const char *line = got.said; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        assert_true(strcspn(line, "\n") <= 100);
}

static void bash_and_manual_come_from_the_table_too(void **state) {
    (void)state;
    assert_int_equal(parse("--help=bash"), 0);
    assert_non_null(strstr(got.said, "    search:--mode) words='bm25 dense hybrid nq_open' ;;\n"));
    assert_non_null(strstr(got.said, "    search:*) words='--top_k --any_number "));
    assert_int_equal(parse("--help=man"), 0);
    assert_non_null(
        strstr(got.said, ".SS raglan search QUESTION [FILE] [options]\n.PP\nFinds passages.\n"));
    assert_non_null(strstr(got.said, ".TP\n.B \\-\\-top_k K\npassages to show (10; 1 to 1000)\n"));
    assert_refused("--help=pdf", "--help: found 'pdf', wanted bash or man");
}

static void the_nearest_word_is_by_edit_distance(void **state) {
    (void)state;
    static const char *const words[] = {"train", "index", "ingest", "search"};
    assert_string_equal(opts_nearest("trian", words, 4), "train");
    assert_string_equal(opts_nearest("indx", words, 4), "index");
    assert_string_equal(opts_nearest("ingset", words, 4), "ingest");
    assert_string_equal(opts_nearest("", words, 4),
                        "train"); /* the shortest, the first of equals */
    assert_null(opts_nearest("x", words, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_where_nothing_is_given),
        cmocka_unit_test(dash_and_underscore_are_equal_and_both_ways_of_giving_work),
        cmocka_unit_test(arguments_are_collected_in_order),
        cmocka_unit_test(short_options_may_be_joined),
        cmocka_unit_test(the_home_is_option_then_environment_then_default),
        cmocka_unit_test(an_unknown_option_hears_the_nearest_name),
        cmocka_unit_test(a_bad_value_hears_what_was_wanted),
        cmocka_unit_test(a_missing_value_is_not_taken_from_the_next_option),
        cmocka_unit_test(the_number_of_arguments_is_checked),
        cmocka_unit_test(threads_and_log_level_are_set),
        cmocka_unit_test(help_comes_from_the_table),
        cmocka_unit_test(bash_and_manual_come_from_the_table_too),
        cmocka_unit_test(the_nearest_word_is_by_edit_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
