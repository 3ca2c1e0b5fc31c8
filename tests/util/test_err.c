/* Errors: the sentence, its place, its thread. */
#include "util/err.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"

static status refuse(int found) {
    FAIL(ERR_FORMAT, "shelf: has %d boards, wanted 3", found);
}

static status pass_on(int found) {
    TRY(refuse(found));
    return OK;
}

static void fail_leaves_code_sentence_and_place(void **state) {
    (void)state;
    assert_int_equal(pass_on(2), ERR_FORMAT);
    assert_string_equal(err_msg(), "shelf: has 2 boards, wanted 3");
    assert_non_null(strstr(err_where(), "test_err.c:"));
    err_clear();
    assert_string_equal(err_msg(), "");
    assert_string_equal(err_where(), "");
}

static void wrap_puts_the_context_in_front(void **state) {
    (void)state;
    assert_int_equal(err_wrap(refuse(4), "room %d", 7), ERR_FORMAT);
    assert_string_equal(err_msg(), "room 7: shelf: has 4 boards, wanted 3");
}

static void a_sentence_may_quote_the_one_before(void **state) {
    (void)state;
    refuse(1);
    err_set(ERR_STATE, "f.c", 1, "cannot move in (%s)", err_msg());
    assert_string_equal(err_msg(), "cannot move in (shelf: has 1 boards, wanted 3)");
}

static void a_sentence_is_one_line(void **state) {
    (void)state;
    err_set(ERR_IO, "f.c", 1, "%s: gone", "a\nb\tc");
    assert_string_equal(err_msg(), "a b c: gone");
}

static void a_sentence_too_long_ends_in_dots(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(ERR_IO, "f.c", 1, "%s", text);
    size_t n = strlen(err_msg());
    assert_int_equal(n, 2047);
    assert_string_equal(err_msg() + n - 4, "x...");
    err_wrap(ERR_IO, "%s", text);
    assert_string_equal(err_msg() + strlen(err_msg()) - 4, "x...");
}

static void every_code_has_a_name(void **state) {
    (void)state;
    assert_string_equal(err_name(OK), "ok");
    assert_string_equal(err_name(ERR_ARG), "bad argument");
    assert_string_equal(err_name(ERR_STOPPED), "stopped");
}

static void *other_thread(void *arg) {
    (void)arg;
    refuse(9);
    return NULL;
}

static void threads_keep_their_own_sentences(void **state) {
    (void)state;
    pthread_t t;
    refuse(1);
    assert_int_equal(pthread_create(&t, NULL, other_thread, NULL), 0);
    pthread_join(t, NULL);
    assert_string_equal(err_msg(), "shelf: has 1 boards, wanted 3");
}

static void must_prints_the_condition_and_aborts(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        int a = 2, b = 3;
        MUST(a == b, "a=%d b=%d", a, b);
        _exit(0);
    }
    close(ends[1]);
    char text[512] = "";
    size_t n = 0;
    for (ssize_t k = 1; k > 0 && n < sizeof text - 1; n += (size_t)k)
        if ((k = read(ends[0], text + n, sizeof text - 1 - n)) < 0) break;
    close(ends[0]);
    int how;
    waitpid(child, &how, 0);
    assert_true(n > 0 && WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
    assert_non_null(strstr(text, "a == b: a=2 b=3"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_leaves_code_sentence_and_place),
        cmocka_unit_test(wrap_puts_the_context_in_front),
        cmocka_unit_test(a_sentence_may_quote_the_one_before),
        cmocka_unit_test(a_sentence_is_one_line),
        cmocka_unit_test(a_sentence_too_long_ends_in_dots),
        cmocka_unit_test(every_code_has_a_name),
        cmocka_unit_test(threads_keep_their_own_sentences),
        cmocka_unit_test(must_prints_the_condition_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
