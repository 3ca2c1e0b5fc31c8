/* raglan index: brings passages, search files and vectors up to date. */
#include "cli/cli.h"

#include "cli/opts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "rag/rag_int.h"

/* What is found now: all of the store, of which the removed ones leave the files at the next merge.
 */
static status print_index(rag *r) {
    char *folder = rag_path(r, "index");
    manifest m;
    status st = manifest_read(folder, &m);
    store_counts n = {0};
    if (!st) st = store_count(r->s, &n);
    if (!st)
        printf("index        %" PRId64 " passage%s by words, %s by vectors\n", n.passages,
               plural(n.passages), m.n_vectors ? "the same" : "none");
    manifest_clear(&m);
    free(folder);
    return st;
}

int cmd_index(int argc, char **argv) {
    opts o = {.command = "index",
              .about = "Cuts documents into passages, embeds what has no current vector and builds "
                       "the search files.\n\n"
                       "Nothing to do is nothing done; interrupted, the same command goes on. "
                       "Without a trained "
                       "retriever the index is BM25 alone.",
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_GPU};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    rag *r = NULL;
    int st = rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = rag_index(r);
    if (!st) st = (int)print_index(r);
    rag_close(r);
    return cli_exit((status)st);
}
