#ifndef RAGLAN_CLI_EXPAND_OPTS_H
#define RAGLAN_CLI_EXPAND_OPTS_H
/* The options that name a server which makes full sentences, for `dataset` and the published form. */
#include <stdlib.h>

#include "cli/opts.h"
#include "data/expand.h"

/* Rows of an option table; x: an expand_options. */
#define EXPAND_OPTIONS(x)                                                                          \
    {.help = "full answers"},                                                                      \
        {.name = "expand_url",                                                                     \
         .kind = OPT_TEXT,                                                                         \
         .to = &(x).url,                                                                           \
         .value = "URL",                                                                           \
         .help = "server with OpenAI's chat interface, such as http://127.0.0.1:8080/v1; "         \
                 "without one a template makes the sentences"},                                    \
        {.name = "expand_model",                                                                   \
         .kind = OPT_TEXT,                                                                         \
         .to = &(x).model,                                                                         \
         .standard = "default",                                                                    \
         .value = "NAME",                                                                          \
         .help = "model to ask there; a key, if it wants one, in RAGLAN_EXPAND_KEY or "            \
                 "OPENAI_API_KEY"},                                                                \
    {                                                                                              \
        .name = "expand_timeout", .kind = OPT_FLOAT, .to = &(x).timeout_s, .standard = "60",       \
        .min = 0.1, .max = 3600, .value = "S", .help = "seconds that one request may take"         \
    }

enum { EXPAND_RETRIES = 5 };

static inline const char *expand_key(void) {
    const char *key = getenv("RAGLAN_EXPAND_KEY");
    return key && *key ? key : getenv("OPENAI_API_KEY");
}
#endif
