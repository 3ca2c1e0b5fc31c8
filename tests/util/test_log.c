/* Log lines and progress where stderr is a file. */
#include "util/log.h"
#include "util/file.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "temp.h"

/* What stderr got while fn ran. */
static char *heard(void (*fn)(void)) {
    const char *path = temp_path("stderr");
    fflush(stderr);
    int kept = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    fn();
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(fd), close(kept);
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    return buf_steal(&b);
}

static void all_levels(void) {
    log_error("shelf %d broke", 1);
    log_warn("shelf %d bends", 2);
    log_info("Iter %d: Train loss %.1f", 3, .5);
    log_debug("shelf %d creaks", 4);
}

static void assert_heard(void (*fn)(void), const char *wanted) {
    char *found = heard(fn);
    assert_string_equal(found, wanted);
    free(found);
}

static void levels_choose_what_is_said(void **state) {
    (void)state;
    assert_heard(
        all_levels,
        "raglan: error: shelf 1 broke\nraglan: warning: shelf 2 bends\nIter 3: Train loss 0.5\n");
    log_level_set(LOG_WARN);
    assert_int_equal(log_level_get(), LOG_WARN);
    assert_heard(all_levels, "raglan: error: shelf 1 broke\nraglan: warning: shelf 2 bends\n");
    log_level_set(LOG_DEBUG);
    assert_heard(all_levels, "raglan: error: shelf 1 broke\nraglan: warning: shelf 2 bends\n"
                             "Iter 3: Train loss 0.5\nraglan: debug: shelf 4 creaks\n");
    log_level_set(LOG_INFO);
}

static void short_job(void) {
    progress p;
    progress_begin(&p, "embedding passages", "passages", 10);
    for (int i = 1; i <= 10; i++) progress_update(&p, i);
    progress_end(&p);
}

static void a_short_job_says_nothing_off_a_terminal(void **state) {
    (void)state;
    assert_heard(short_job, "");
}

/* The clock is set back, as if the job had begun 20 s ago. */
static void long_job(void) {
    progress p;
    progress_begin(&p, "embedding passages", "passages", 400);
    p.start_s -= 20;
    p.drawn_s -= 20;
    progress_update(&p, 100);
    progress_update(&p, 200); /* too early for another line */
    p.done = 400;
    progress_end(&p);
}

static void a_long_job_says_a_line_every_ten_seconds(void **state) {
    (void)state;
    assert_heard(long_job, "embedding passages  25% 100/400 passages, 5.0/s, 1:00 left\n"
                           "embedding passages 100% 400/400 passages, 20.0/s, 0:00 left\n");
    log_level_set(LOG_WARN);
    assert_heard(long_job, "");
    log_level_set(LOG_INFO);
}

/* A bar of a job that began 20 s ago, a log line in the middle, the end. */
static void job_with_a_bar(void) {
    progress p;
    progress_begin(&p, "embedding", "passages", 400);
    p.start_s -= 20;
    p.drawn_s -= 20;
    progress_update(&p, 100);
    log_warn("shelf 2 bends");
    progress_end(&p);
}

static void a_terminal_shows_one_line_below_the_log(void **state) {
    (void)state;
    int master, slave, kept = dup(STDERR_FILENO);
    struct winsize size = {.ws_row = 24, .ws_col = 30};
    if (openpty(&master, &slave, NULL, NULL, &size)) {
        print_message("skipped: no pseudo-terminal can be had (is /dev/pts mounted?)\n");
        close(kept);
        skip();
    }
    fflush(stderr);
    dup2(slave, STDERR_FILENO);
    job_with_a_bar();
    dup2(kept, STDERR_FILENO);
    /* the bar, cut to 29 columns; wiped, the warning, the bar again; wiped */
    static const char wanted[] =
        "\r\033[Kembedding  25% 100/400 passag"
        "\r\033[Kraglan: warning: shelf 2 bends\r\nembedding  25% 100/400 passag"
        "\r\033[K";
    char shown[512] = "";
    size_t n = 0;
    struct pollfd arrives = {.fd = master, .events = POLLIN};
    while (n < strlen(wanted) && poll(&arrives, 1, 2000) == 1) { /* it may come in pieces */
        ssize_t k = read(master, shown + n, sizeof shown - 1 - n);
        if (k <= 0) break;
        n += (size_t)k;
    }
    close(kept), close(slave), close(master);
    assert_string_equal(shown, wanted);
}

static void the_clock_goes_forward(void **state) {
    (void)state;
    double t = now_s();
    usleep(2000);
    assert_true(now_s() - t >= .002);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_choose_what_is_said),
        cmocka_unit_test(a_short_job_says_nothing_off_a_terminal),
        cmocka_unit_test(a_long_job_says_a_line_every_ten_seconds),
        cmocka_unit_test(a_terminal_shows_one_line_below_the_log),
        cmocka_unit_test(the_clock_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
