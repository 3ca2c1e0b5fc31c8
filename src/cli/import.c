/* raglan import: models that were trained elsewhere. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "rag/rag.h"
#include "util/shell.h"

int cmd_import(int argc, char **argv) {
    opts o = {.command = "import",
              .arguments = "hf DIR",
              .about =
                  "Takes over a sentence encoder as the retriever, in the place of the one that "
                  "is there. DIR is a folder as Hugging Face has them, of BERT's architecture: "
                  "config.json, model.safetensors, tokenizer.json or vocab.txt, and "
                  "1_Pooling/config.json. `raglan index` then embeds the passages with it; "
                  "`raglan train retriever --num_iters N` goes on training it.",
              .min_args = 2,
              .max_args = 2,
              .shared = OPTS_HOME | OPTS_THREADS};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    if (strcmp(o.args[0], "hf")) return opts_wrong(&o, "cannot import '%s'; wanted hf", o.args[0]);
    rag *r = NULL;
    char identifier[41];
    status st = (status)rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = (status)rag_import_hf(r, o.args[1], identifier);
    if (!st) {
        char *word = shell_word(o.home);
        printf("retriever %s imported; next: raglan index --save_dir %s\n", identifier, word);
        free(word);
    }
    rag_close(r);
    return cli_exit(st);
}
