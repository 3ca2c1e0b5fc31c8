/* raglan search: the passages nearest to a question. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/hits.h"
#include "cli/opts.h"

static void print(const char *question, const rag_hits *h, bool as_json) {
    if (!as_json) {
        hits_print(h, 300);
        if (h->n == 0) fprintf(stderr, "no passage has anything to do with that\n");
        return;
    }
    json_t *j = json_pack("{s:s, s:s, s:o}", "question", question, "mode", mode_name(h->mode),
                          "hits", hits_json(h));
    char *line = json_line(j);
    puts(line);
    free(line);
    json_decref(j);
}

int cmd_search(int argc, char **argv) {
    int64_t top_k;
    int mode;
    const char *identifier = NULL;
    /* clang-format off */
    opt table[] = {
        {"top_k", OPT_INT, &top_k, "10", 1, 1e6, "K", "passages to show", false},
        {"mode", OPT_CHOICE, &mode, "auto", 0, 0, MODE_CHOICES,
         "how to rank; auto is hybrid where there are vectors, else bm25", false},
        {"identifier", OPT_TEXT, &identifier, NULL, 0, 0, "SHA1",
         "the retriever to use; default: the best on dev", false},
    };
    /* clang-format on */
    opts o = {.command = "search",
              .arguments = "QUESTION",
              .about = "Finds the passages nearest to a question.",
              .min_args = 1,
              .max_args = 1,
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_GPU | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    rag_hits *h = NULL;
    int st = rag_open(o.home, &(rag_options){.retriever = identifier}, &r);
    if (!st) st = rag_search(r, o.args[0], (rag_mode)mode, top_k, &h);
    if (!st) print(o.args[0], h, o.json);
    rag_hits_free(h);
    rag_close(r);
    return cli_exit((status)st);
}
