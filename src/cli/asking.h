#ifndef RAGLAN_CLI_ASKING_H
#define RAGLAN_CLI_ASKING_H
/* Asking one question and showing its answer, for `ask` and for the published form. */
#include <stdbool.h>

#include "rag/rag.h"
#include "util/err.h"

typedef struct asking {
    rag *r;
    rag_ask_options o;
    bool json;
} asking;
/* Streams the answer to stdout, then its sources; or one JSON object. arg: an asking (a
 * prompt_fn). */
status ask_one(void *arg, const char *question);
#endif
