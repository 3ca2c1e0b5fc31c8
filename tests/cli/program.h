#ifndef RAGLAN_TESTS_CLI_PROGRAM_H
#define RAGLAN_TESTS_CLI_PROGRAM_H
/* The built program, run as a shell runs it, in the folder of the test's files (temp.h), so
 * that the names in a test's command lines are short. Include it after cmocka_all.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "temp.h"
#include "util/file.h"
#include "util/json.h"

static char out[1 << 18], err[1 << 16]; /* what the last program printed */

/* A file's first bytes as a string, cut to fit. */
static inline void slurp(const char *path, char *to, size_t size) {
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    snprintf(to, size, "%s", b.at ? b.at : "");
    buf_clear(&b);
}

/* The exit code of a wait status; 128 + signal where one ended it, as a shell says it. */
static inline int exit_code(int how) {
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

/* Runs `LINE` in a shell in the test's folder; its exit code. out and err hold what it printed. */
static inline int shell(const char *line) {
    char command[4096];
    temp_path(""); /* makes the folder */
    snprintf(command, sizeof command, "cd %s && { %s\n} >out 2>err", temp_root, line);
    int how = system(command);
    slurp(temp_path("out"), out, sizeof out);
    slurp(temp_path("err"), err, sizeof err);
    return exit_code(how);
}

/* Runs `raglan LINE`. */
__attribute__((format(printf, 1, 2))) static inline int raglan(const char *fmt, ...) {
    char line[2048], command[3072];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    snprintf(command, sizeof command, "%s %s", RAGLAN_PROGRAM, line);
    return shell(command);
}

/* The same, where anything but success fails the test and shows why. */
#define raglan_ok(...)                                                                             \
    do {                                                                                           \
        if (raglan(__VA_ARGS__) != 0) fail_msg("%s", err);                                         \
    } while (0)

/* What was printed as JSON. Caller json_decref. */
static inline json_t *out_json(void) {
    json_t *j = NULL;
    if (json_parse(out, strlen(out), "stdout", &j)) fail_msg("%s: %s", err_msg(), out);
    return j;
}

#define assert_says(text, part)                                                                    \
    do {                                                                                           \
        if (!strstr(text, part)) fail_msg("wanted '%s' in: %s", part, text);                       \
    } while (0)

/* ---- programs that run beside the test ---- */

/* Starts `raglan LINE`, its output in the files out and err; its process id. */
static inline pid_t raglan_start(const char *line) {
    char command[3072];
    snprintf(command, sizeof command, "cd %s && exec %s %s >out 2>err", temp_path("."),
             RAGLAN_PROGRAM, line);
    fclose(fopen(temp_path("err"), "w")); /* what an earlier program said does not count */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Waits for its end; the exit code, with out and err filled. */
static inline int raglan_finish(pid_t child) {
    int how;
    while (waitpid(child, &how, 0) < 0) assert_int_equal(errno, EINTR);
    slurp(temp_path("out"), out, sizeof out);
    slurp(temp_path("err"), err, sizeof err);
    return exit_code(how);
}

static inline void rest_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Waits until the program has said `part` on stderr; false: it ended before. */
static inline bool raglan_says(pid_t child, const char *part) {
    for (;;) {
        siginfo_t ended = {0};
        waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT);
        slurp(temp_path("err"), err, sizeof err);
        if (strstr(err, part)) return true;
        if (ended.si_pid == child) return false;
        rest_ms(2);
    }
}
#endif
