/* Hashes: the published test values (FIPS 180-4 examples; xxHash's own). */
#include "util/hash.h"

#include <string.h>

#include "cmocka_all.h"

static void sha1_gives_the_published_digests(void **state) {
    (void)state;
    char hex[41];
    sha1_hex("", 0, hex);
    assert_string_equal(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    sha1_hex("abc", 3, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void sha1_in_pieces_equals_sha1_at_once(void **state) {
    (void)state;
    const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char hex[41];
    sha1 *h = sha1_new();
    for (size_t i = 0; i < strlen(text); i++) sha1_add(h, text + i, 1);
    sha1_end(h, hex);
    assert_string_equal(hex, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

static void hash64_is_xxh3(void **state) {
    (void)state;
    assert_true(hash64("", 0) == 0x2d06800538d394c2u);
    assert_true(hash64("a", 1) != hash64("b", 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_gives_the_published_digests),
        cmocka_unit_test(sha1_in_pieces_equals_sha1_at_once),
        cmocka_unit_test(hash64_is_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
