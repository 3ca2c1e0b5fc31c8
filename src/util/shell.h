#ifndef RAGLAN_UTIL_SHELL_H
#define RAGLAN_UTIL_SHELL_H
/* Words as a shell takes them: messages name commands that can be copied. */
#include "util/mem.h"

/* Appends the word, in quotes where a shell would not take it as it is. */
void shell_add(buf *b, const char *word);
char *shell_word(const char *word); /* caller frees */

#endif
