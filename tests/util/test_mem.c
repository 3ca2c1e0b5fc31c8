/* Heap helpers, the byte string and the arena. */
#include "util/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"

static void strings_are_copied(void **state) {
    (void)state;
    char *a = xstrdup("raglan"), *b = xstrndup("raglan", 3), *c = xstrndup("ab", 9);
    char *d = xasprintf("%s-%d", "sleeve", 2);
    assert_string_equal(a, "raglan");
    assert_string_equal(b, "rag");
    assert_string_equal(c, "ab");
    assert_string_equal(d, "sleeve-2");
    free(a), free(b), free(c), free(d);
}

static void grow_doubles_from_sixteen(void **state) {
    (void)state;
    int *items = NULL;
    int64_t n = 0, cap = 0;
    for (int i = 0; i < 40; i++) {
        GROW(items, n, cap);
        items[n++] = i;
    }
    assert_int_equal(cap, 64);
    assert_int_equal(items[39], 39);
    free(items);
}

/* ---- buf ---- */

static void a_buf_grows_and_stays_terminated(void **state) {
    (void)state;
    buf b = {0};
    for (int i = 0; i < 100; i++) buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3);
    assert_memory_equal(b.at, "0,1,2,3,", 8);
    assert_int_equal(b.at[b.len], 0);
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.at, "");
    buf_puts(&b, "one");
    buf_putc(&b, ' ');
    buf_add(&b, "two\0three", 9);
    assert_int_equal(b.len, 13);
    assert_memory_equal(b.at, "one two\0three", 14);
    buf_clear(&b);
    assert_null(b.at);
}

static void a_long_format_is_written_whole(void **state) {
    (void)state;
    buf b = {0};
    buf_printf(&b, "%5000d", 7);
    assert_int_equal(b.len, 5000);
    assert_int_equal(b.at[4999], '7');
    buf_clear(&b);
}

static void stealing_empties_the_buf(void **state) {
    (void)state;
    buf b = {0};
    char *empty = buf_steal(&b);
    assert_string_equal(empty, "");
    buf_puts(&b, "mine");
    char *s = buf_steal(&b);
    assert_string_equal(s, "mine");
    assert_null(b.at);
    assert_int_equal(b.len, 0);
    free(empty), free(s);
}

/* ---- arena ---- */

static void blocks_are_aligned_zeroed_and_apart(void **state) {
    (void)state;
    arena *a = arena_new(0);
    uint8_t *last = NULL;
    for (size_t n = 0; n < 300; n += 7) {
        uint8_t *p = arena_push(a, n);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        assert_true(!last || p >= last);
        memset(p, 0xAA, n);
        last = p + n;
    }
    arena_free(a);
    arena_free(NULL);
}

static void memory_used_before_is_zeroed_again(void **state) {
    (void)state;
    arena *a = arena_new(1 << 20);
    arena_push(a, 100);
    size_t mark = arena_mark(a);
    memset(arena_take(a, 5000), 0xFF, 5000);
    arena_reset(a, mark);
    const uint8_t *p = arena_push(a, 20000); /* partly used before, partly fresh */
    for (int i = 0; i < 20000; i++) assert_int_equal(p[i], 0);
    arena_free(a);
}

static void a_reset_gives_the_same_memory_and_no_growth(void **state) {
    (void)state;
    arena *a = arena_new(0);
    arena_take(a, 64);
    size_t mark = arena_mark(a);
    const void *first = arena_take(a, 1 << 20);
    arena_take(a, 333);
    size_t peak = arena_peak(a);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (int step = 0; step < 1000; step++) {
        arena_reset(a, mark);
        assert_ptr_equal(arena_take(a, 1 << 20), first);
        arena_take(a, 333);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(arena_peak(a), peak);
    assert_true(after.ru_maxrss - before.ru_maxrss < 512); /* KiB */
    arena_reset(a, 0);
    assert_int_equal(arena_mark(a), 0);
    arena_free(a);
}

static void arena_strings_live_in_the_arena(void **state) {
    (void)state;
    arena *a = arena_new(1 << 16);
    assert_string_equal(arena_strdup(a, "warp"), "warp");
    assert_string_equal(arena_strndup(a, "weft", 2), "we");
    assert_string_equal(arena_printf(a, "%03d", 42), "042");
    float *x = ARENA_ARRAY(a, float, 10);
    x[9] = 1;
    arena_free(a);
}

/* Runs fn in a child and says whether it was ended by a signal or a sanitizer. */
static int dies(void (*fn)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(0);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    int how = 0;
    waitpid(child, &how, 0);
    return how != 0;
}

static void overfill(void) {
    arena *a = arena_new(1 << 16);
    arena_take(a, 1 << 17);
}

static void overrun(void) {
    arena *a = arena_new(1 << 16);
    volatile char *p = arena_take(a, 30);
    arena_take(a, 30);
    p[30] = 1;
}

static void use_after_reset(void) {
    arena *a = arena_new(1 << 16);
    volatile char *p = arena_take(a, 30);
    arena_reset(a, 0);
    p[0] = 1;
}

static void a_full_arena_aborts(void **state) {
    (void)state;
    assert_true(dies(overfill));
}

static void address_sanitizer_sees_overruns_inside_the_arena(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    assert_true(dies(overrun));
    assert_true(dies(use_after_reset));
#else
    (void)overrun, (void)use_after_reset;
    print_message("skipped: needs the address sanitizer (the dev preset)\n");
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(grow_doubles_from_sixteen),
        cmocka_unit_test(a_buf_grows_and_stays_terminated),
        cmocka_unit_test(a_long_format_is_written_whole),
        cmocka_unit_test(stealing_empties_the_buf),
        cmocka_unit_test(blocks_are_aligned_zeroed_and_apart),
        cmocka_unit_test(memory_used_before_is_zeroed_again),
        cmocka_unit_test(a_reset_gives_the_same_memory_and_no_growth),
        cmocka_unit_test(arena_strings_live_in_the_arena),
        cmocka_unit_test(a_full_arena_aborts),
        cmocka_unit_test(address_sanitizer_sees_overruns_inside_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
