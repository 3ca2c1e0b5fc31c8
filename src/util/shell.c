/* Quoting for a POSIX shell: within single quotes all is literal but the quote itself. */
#include "util/shell.h"

#include <string.h>

void shell_add(buf *b, const char *word) {
    if (*word && strcspn(word, " \t\n'\"\\$`*?[]{}#~%|&;<>()!") == strlen(word)) {
        buf_puts(b, word);
        return;
    }
    buf_putc(b, '\'');
    for (; *word; word++) buf_puts(b, *word == '\'' ? "'\\''" : (char[]){*word, 0});
    buf_putc(b, '\'');
}

char *shell_word(const char *word) {
    buf b = {0};
    shell_add(&b, word);
    return buf_steal(&b);
}
