/* raglan dataset STEP: one step of the published dataset target. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/expand_opts.h"
#include "cli/opts.h"

static const dataset_step *find_step(const char *name) {
    for (size_t i = 0; i < sizeof dataset_steps / sizeof *dataset_steps; i++)
        if (strcmp(dataset_steps[i].name, name) == 0) return &dataset_steps[i];
    return NULL;
}

static int unknown_step(const opts *o) {
    const char *names[sizeof dataset_steps / sizeof *dataset_steps];
    int n = 0;
    for (; n < (int)(sizeof names / sizeof *names); n++) names[n] = dataset_steps[n].name;
    return opts_wrong(o, "unknown step '%s', the nearest known is %s", o->args[0],
                      opts_nearest(o->args[0], names, n));
}

int cmd_dataset(int argc, char **argv) {
    dataset_options d = {.tokenizer.kind = TOKENIZER_BPE};
    /* clang-format off */
    opt table[] = {
        {"from_dir", OPT_TEXT, &d.from, NULL, 0, 0, "SRC",
         "folder of TriviaQA (qa/, evidence/), only read", false},
        {"to_dir", OPT_TEXT, &d.to, NULL, 0, 0, "D",
         "where the files go; default: dataset in the home", false},
        {"lower_case", OPT_FLAG, &d.lower_case, NULL, 0, 0, NULL,
         "fold letters, as published", false},
        {"vocab_size", OPT_INT, &d.tokenizer.vocab_size, "10000", 300, 1e6, "N",
         "pieces of the tokenizer", false},
        {"context_size", OPT_INT, &d.context_size, "64", 8, 4096, "N", "tokens of a chunk", false},
        EXPAND_OPTIONS(d.expand),
    };
    /* clang-format on */
    opts o = {
        .command = "dataset",
        .arguments = "STEP",
        .about = "Makes the files of the published dataset step, for those who want them; raglan's "
                 "own training needs none. STEP, in this order:\n\n"
                 "  prepare_generator_qa_dataset  qa/NAME-simplified.json, evidence/\n"
                 "  qa_json_to_txt                qa/NAME.txt\n"
                 "  train_tokenizer               tokenizer/files.txt; the home's wiki.model\n"
                 "  load_retriever_dataset        retriever/*.npy, qa/unsupported-NAME.json\n"
                 "  load_generator_dataset        generator/NAME.npy\n\n"
                 "Short answers become full sentences by a template, or by a language model behind "
                 "--expand_url; every sentence is kept at once, so that a stopped run goes on.",
        .min_args = 1,
        .max_args = 1,
        .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED,
        OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    const dataset_step *step = find_step(o.args[0]);
    if (!step) return unknown_step(&o);
    if (step->needs_from && !d.from)
        return opts_wrong(&o, "%s: --from_dir is missing, wanted a TriviaQA folder", step->name);
    char *to = d.to ? xstrdup(d.to) : xasprintf("%s/dataset", o.home);
    d.to = to;
    d.home = o.home;
    d.tokenizer.seed = (uint64_t)o.seed;
    d.expand.key = expand_key();
    d.expand.retries = EXPAND_RETRIES;
    status st = step->run(&d);
    free(to);
    return cli_exit(st);
}
