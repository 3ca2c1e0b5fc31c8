#ifndef RAGLAN_TESTS_SUCCEEDS_H
#define RAGLAN_TESTS_SUCCEEDS_H
/* Calls that must succeed, or fail with a sentence. */
#include "cmocka_all.h"
#include "util/err.h"

#include <string.h>

/* Fails the test with the sentence that the call left. */
#define SUCCEEDS(call)                                                                             \
    do {                                                                                           \
        if ((call) != OK) fail_msg("%s: %s", #call, err_msg());                                    \
    } while (0)
#define FAILS(code, sentence, call)                                                                \
    do {                                                                                           \
        assert_int_equal((call), (code));                                                          \
        if (!strstr(err_msg(), (sentence))) fail_msg("wanted '%s' in: %s", (sentence), err_msg()); \
    } while (0)
#endif
