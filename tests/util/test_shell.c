/* Words as a shell takes them. */
#include "util/shell.h"

#include <stdlib.h>

#include "cmocka_all.h"

static void a_shell_takes_a_word_as_it_was(void **state) {
    (void)state;
    static const char *const words[][2] = {
        {"home-1/a.b", "home-1/a.b"}, {"--dim=8", "--dim=8"}, {"my home", "'my home'"},
        {"it's", "'it'\\''s'"},       {"~", "'~'"},           {"", "''"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *word = shell_word(words[i][0]);
        assert_string_equal(word, words[i][1]);
        free(word);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shell_takes_a_word_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
