#ifndef RAGLAN_TESTS_METRIC_DATA_PATH_H
#define RAGLAN_TESTS_METRIC_DATA_PATH_H
/* Real data under RAGLAN_TEST_DATA; a test that wants it is skipped with a word without it. */
#include <stdio.h>
#include <stdlib.h>

#define NEEDS_DATA()                                                                               \
    do {                                                                                           \
        if (!getenv("RAGLAN_TEST_DATA")) {                                                         \
            print_message("skipped: RAGLAN_TEST_DATA is not set\n");                               \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* The path of a file of the data; the last eight results stay valid. */
static inline const char *data_path(const char *name) {
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", getenv("RAGLAN_TEST_DATA"), name);
    return path;
}
#endif
