#include "cli/cli.h"

#include "cli/opts.h"
#include "rag/rag.h"

int cmd_index(int argc, char **argv) {
    opts o = {.command = "index",
              .about = "Cuts documents into passages, embeds what has no current vector and builds "
                       "the search files.\n\n"
                       "Nothing to do is nothing done; interrupted, the same command goes on. "
                       "Without a trained "
                       "retriever the index is BM25 alone.",
              .shared = OPTS_HOME | OPTS_THREADS};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    int st = rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = rag_index(r);
    rag_close(r);
    return cli_exit((status)st);
}
