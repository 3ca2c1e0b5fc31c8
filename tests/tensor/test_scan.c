/* Every scan kernel of this processor finds what the plain loops find. */
#include "tensor/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "tensor/backend.h"
#include "util/rng.h"

enum { MOST = 33, WIDTH_MAX = 320 };
static const char *const names[] = {"avx2", "avx_vnni", "avx512", "vnni", "amx"};

static int8_t q[(MOST + SCAN_QUERIES) * WIDTH_MAX];
static _Alignas(64) uint8_t block[SCAN_ROWS * WIDTH_MAX];
static int32_t limit[MOST];

static int by_query_and_row(const void *a, const void *b) {
    const scan_found *x = a, *y = b;
    return x->query != y->query ? x->query - y->query : x->row - y->row;
}

static int64_t find(const scan_kernel *k, int64_t n, int64_t width, uint64_t rows,
                    scan_found *found) {
    scan_job job = {n, width, q, block, limit, rows, found};
    int64_t n_found = k->find(&job);
    qsort(found, (size_t)n_found, sizeof *found, by_query_and_row);
    return n_found;
}

static void compare(const scan_kernel *k, int64_t n, int64_t width, uint64_t rows) {
    static scan_found want[MOST * SCAN_ROWS], got[MOST * SCAN_ROWS];
    int64_t n_want = find(scan_named("ref"), n, width, rows, want);
    assert_int_equal(find(k, n, width, rows, got), n_want);
    assert_memory_equal(got, want, (size_t)n_want * sizeof *want);
}

static void with_each_kernel(void (*check)(const scan_kernel *k)) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const scan_kernel *k = scan_named(names[i]);
        if (k)
            check(k);
        else
            print_message("%s: skipped, this processor lacks it\n", names[i]);
    }
}

static void random_bytes_with(const scan_kernel *k) {
    static const int64_t counts[] = {1, 2, 3, 4, 5, 16, 17, MOST}, widths[] = {64, 128, 320};
    rng r = rng_new(1);
    for (size_t i = 0; i < sizeof q; i++)
        q[i] = (int8_t)(rng_below(&r, 2 * k->query_max + 1) - k->query_max);
    for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)rng_below(&r, 256);
    for (int i = 0; i < 8; i++)
        for (int w = 0; w < 3; w++) {
            for (int j = 0; j < MOST; j++) limit[j] = (int32_t)rng_below(&r, 100000) - 50000;
            limit[0] = INT32_MIN;                    /* everything; */
            if (counts[i] > 1) limit[1] = INT32_MAX; /* nothing */
            compare(k, counts[i], widths[w], ~0ull);
            compare(k, counts[i], widths[w], 0x8000000180000001ull);
        }
}

static void every_kernel_finds_the_same(void **state) {
    (void)state;
    with_each_kernel(random_bytes_with);
}

static void greatest_bytes_with(const scan_kernel *k) {
    for (int sign = -1; sign <= 1; sign += 2) {
        memset(q, sign * k->query_max, sizeof q);
        memset(block, 255, sizeof block);
        for (int i = 0; i < MOST; i++) limit[i] = sign * WIDTH_MAX * 255 * k->query_max;
        scan_found found[5 * SCAN_ROWS];
        assert_int_equal(find(k, 5, WIDTH_MAX, ~0ull, found), 5 * SCAN_ROWS);
        for (int i = 0; i < 5 * SCAN_ROWS; i++) assert_int_equal(found[i].dot, limit[0]);
    }
}

static void the_greatest_bytes_do_not_overflow(void **state) {
    (void)state;
    with_each_kernel(greatest_bytes_with);
}

static void an_unknown_kernel_is_none(void **state) {
    (void)state;
    assert_null(scan_named("mmx"));
    assert_string_equal(scan_named("ref")->name, "ref");
}

/* RAGLAN_CPU=avx2 must not bring instructions of AVX-512. */
static void the_best_kernel_belongs_to_the_chosen_family(void **state) {
    (void)state;
    const char *family = backend_cpu()->name, *kernel = scan_best()->name;
    if (strcmp(family, "ref") == 0) assert_string_equal(kernel, "ref");
    if (strcmp(family, "avx2") == 0) assert_memory_equal(kernel, "avx", 3);
    if (strcmp(family, "amx") != 0) assert_string_not_equal(kernel, "amx");
    assert_ptr_equal(scan_named(kernel), scan_best());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_finds_the_same),
        cmocka_unit_test(the_greatest_bytes_do_not_overflow),
        cmocka_unit_test(an_unknown_kernel_is_none),
        cmocka_unit_test(the_best_kernel_belongs_to_the_chosen_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
