/* The built program, as a shell sees it: what it prints where, and its exit codes. */
#include "cmocka_all.h"
#include "program.h"

static void help_lists_the_commands(void **state) {
    (void)state;
    assert_int_equal(raglan("help"), 0);
    assert_non_null(strstr(out, "usage: raglan COMMAND [options] [arguments]"));
    assert_non_null(strstr(out, "\n  completion   print the bash completion"));
    assert_string_equal(err, "");
    assert_int_equal(raglan("--help"), 0);
    assert_int_equal(raglan(" "), 2);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "usage: raglan COMMAND"));
}

static void the_version_is_printed(void **state) {
    (void)state;
    assert_int_equal(raglan("--version"), 0);
    assert_string_equal(out, "raglan " RAGLAN_VERSION "\n");
}

static void an_unknown_command_hears_the_nearest(void **state) {
    (void)state;
    assert_int_equal(raglan("manul"), 2);
    assert_string_equal(
        err, "raglan: unknown command 'manul', the nearest known is manual (see raglan help)\n");
    assert_int_equal(raglan("help manul"), 2);
    assert_int_equal(raglan("hlep"), 2);
    assert_non_null(strstr(err, "the nearest known is help "));
}

static void options_before_the_command_are_sent_behind_it(void **state) {
    (void)state;
    assert_int_equal(raglan("--save_dir x ingest town"), 2);
    assert_says(err, "found options before the command 'ingest', wanted them behind it: raglan "
                     "ingest [options]");
    assert_int_equal(raglan("--save_dir index"), 1); /* a value is no command */
    assert_says(err, "index: holds no collection yet");
}

static void help_of_a_command_is_its_help_option(void **state) {
    (void)state;
    static char once[sizeof out];
    assert_int_equal(raglan("help manual"), 0);
    strcpy(once, out);
    assert_int_equal(raglan("manual --help"), 0);
    assert_string_equal(out, once);
    assert_memory_equal(out, "raglan manual [options]\n", 24);
}

static void an_unknown_option_is_wrong_usage(void **state) {
    (void)state;
    assert_int_equal(raglan("manual --verbos"), 2);
    assert_string_equal(out, "");
    assert_string_equal(err, "raglan manual: unknown option '--verbos', the nearest known is "
                             "--verbose (see raglan help manual)\n");
}

/* bash itself must take what was printed, and complete with it. */
static void bash_takes_the_completion(void **state) {
    (void)state;
    if (system("command -v bash >/dev/null") != 0) {
        print_message("skipped: no bash\n");
        skip();
    }
    assert_int_equal(raglan("completion"), 0);
    char script[3072];
    snprintf(script, sizeof script,
             "bash -c '. %s; COMP_WORDS=(raglan manu) COMP_CWORD=1; _raglan; echo ${COMPREPLY[*]}; "
             "COMP_WORDS=(raglan manual --verb) COMP_CWORD=2; _raglan; echo ${COMPREPLY[*]}' >%s",
             temp_path("out"), temp_path("completed"));
    assert_int_equal(system(script), 0);
    slurp(temp_path("completed"), out, sizeof out);
    assert_string_equal(out, "manual\n--verbose\n");
}

static void the_manual_page_names_every_command(void **state) {
    (void)state;
    assert_int_equal(raglan("manual"), 0);
    assert_memory_equal(out, ".TH RAGLAN 1 ", 13);
    assert_non_null(strstr(out, ".SS raglan completion [options]\n"));
    assert_non_null(strstr(out, ".SS raglan manual [options]\n"));
}

static void a_result_that_cannot_be_written_is_a_failure(void **state) {
    (void)state;
    int how = system(RAGLAN_PROGRAM " manual >/dev/full 2>/dev/null");
    assert_int_equal(WEXITSTATUS(how), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_the_commands),
        cmocka_unit_test(the_version_is_printed),
        cmocka_unit_test(an_unknown_command_hears_the_nearest),
        cmocka_unit_test(options_before_the_command_are_sent_behind_it),
        cmocka_unit_test(help_of_a_command_is_its_help_option),
        cmocka_unit_test(an_unknown_option_is_wrong_usage),
        cmocka_unit_test(bash_takes_the_completion),
        cmocka_unit_test(the_manual_page_names_every_command),
        cmocka_unit_test(a_result_that_cannot_be_written_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
