/* Ctrl+C once and twice. */
#include "util/stop.h"
#include "util/file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "temp.h"

static void a_request_is_seen_and_forgotten(void **state) {
    (void)state;
    assert_false(stop_requested());
    stop_request();
    assert_true(stop_requested());
    stop_reset();
    assert_false(stop_requested());
}

static void the_first_signal_asks(void **state) {
    (void)state;
    stop_install();
    raise(SIGTERM);
    assert_true(stop_requested());
    stop_reset();
}

static void the_second_signal_ends_with_130(void **state) {
    (void)state;
    stop_install();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGINT);
        raise(SIGINT);
        _exit(0);
    }
    int how = 0;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 130);
}

/* 'S' when the process sleeps, by /proc. */
static char state_of(pid_t pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f)) text[0] = 0;
    if (f) fclose(f);
    const char *name_end = strrchr(text, ')');
    return name_end ? name_end[2] : '?';
}

/* What reader_open of a path comes to when SIGINT reaches a wait without end. */
static int opened_until_a_signal(const char *path) {
    int input[2], ready[2], how = 0;
    char byte;
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        reader *r;
        dup2(input[0], STDIN_FILENO);
        stop_install();
        if (write(ready[1], "!", 1) != 1) _exit(99);
        _exit((int)reader_open(path, &r));
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    while (state_of(child) != 'S') usleep(1000);
    kill(child, SIGINT);
    waitpid(child, &how, 0);
    for (int i = 0; i < 2; i++) close(input[i]), close(ready[i]);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static void a_signal_ends_a_wait_for_input(void **state) {
    (void)state;
    assert_int_equal(mkfifo(temp_path("nobody_writes"), 0600), 0);
    assert_int_equal(opened_until_a_signal("-"), ERR_STOPPED);
    assert_int_equal(opened_until_a_signal(temp_path("nobody_writes")), ERR_STOPPED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_seen_and_forgotten),
        cmocka_unit_test(the_first_signal_asks),
        cmocka_unit_test(the_second_signal_ends_with_130),
        cmocka_unit_test(a_signal_ends_a_wait_for_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
