/* raglan train: from the options of the command line to a train_request (rag/train.h), in which
 * "not given" is a value of its own, because such options come from the checkpoint. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "rag/train.h"

/* The command line as it can be typed again. */
static char *command_line(int argc, char **argv) {
    buf b = {0};
    buf_puts(&b, "raglan");
    for (int i = 0; i < argc; i++) {
        bool plain =
            argv[i][0] && strcspn(argv[i], " \t\n'\"\\$`*?[]#~=%|&;<>()") == strlen(argv[i]);
        buf_putc(&b, ' ');
        if (plain)
            buf_puts(&b, argv[i]);
        else {
            buf_putc(&b, '\'');
            for (const char *c = argv[i]; *c; c++)
                buf_puts(&b, *c == '\'' ? "'\\''" : (char[]){*c, 0});
            buf_putc(&b, '\'');
        }
    }
    return buf_steal(&b);
}

static status run(rag *r, const char *what, const train_request *q, const tokenizer_options *t,
                  const cut_options *cut) {
    if (strcmp(what, "retriever") == 0) return rag_train_retriever(r, q);
    if (strcmp(what, "generator") == 0) return rag_train_generator(r, q);
    if (strcmp(what, "all") == 0) return rag_train_all(r, q);
    TRY(rag_train_tokenizer(r, t, q->new_model));
    return rag_cut(r, cut);
}

int cmd_train(int argc, char **argv) {
    train_request q = train_request_none;
    int kind, loss = LOSS_CONTRASTIVE, title = 1;
    bool full = false;
    const char *identifier = NULL;
    opt table[] = {
        {.help = "how long"},
        {.name = "minutes",
         .kind = OPT_FLOAT,
         .to = &q.minutes,
         .min = 0.05,
         .max = 1e6,
         .value = "M",
         .help = "bound on the whole command; steps are fitted to the measured rate"},
        {.name = "num_iters",
         .kind = OPT_INT,
         .to = &q.num_iters,
         .min = 1,
         .max = 1e12,
         .value = "N",
         .help = "steps; after a finished run, so many more"},
        {.name = "patience",
         .kind = OPT_INT,
         .to = &q.patience,
         .min = 0,
         .max = 1e6,
         .value = "N",
         .help = "stop after so many evaluations without a better one; 0: never"},
        {.name = "new_model",
         .kind = OPT_FLAG,
         .to = &q.new_model,
         .help = "begin anew, whatever is there"},
        {.name = "identifier",
         .kind = OPT_TEXT,
         .to = &identifier,
         .value = "SHA1",
         .help = "checkpoint to go on from; default: the newest"},
        {.help = "text"},
        {.name = "vocab_size",
         .kind = OPT_INT,
         .to = &q.vocab_size,
         .min = 300,
         .max = 1e6,
         .value = "N",
         .help = "pieces of the tokenizer (10000)"},
        {.name = "tokenizer",
         .kind = OPT_CHOICE,
         .to = &kind,
         .standard = "bpe",
         .value = "bpe|unigram",
         .help = "kind of tokenizer"},
        {.name = "lower_case",
         .kind = OPT_FLAG,
         .to = &q.lower_case,
         .help = "fold letters, as published"},
        {.name = "context_size",
         .kind = OPT_INT,
         .to = &q.context_size,
         .min = 8,
         .max = 4096,
         .value = "N",
         .help = "tokens of a passage (64)"},
        {.name = "context_overlap",
         .kind = OPT_INT,
         .to = &q.context_overlap,
         .min = 0,
         .max = 2047,
         .value = "N",
         .help = "tokens that neighbouring passages share (0)"},
        {.help = "architecture (of a new model)"},
        {.name = "dim",
         .kind = OPT_INT,
         .to = &q.dim,
         .min = 8,
         .max = 16384,
         .value = "N",
         .help = "width (256)"},
        {.name = "num_blocks",
         .kind = OPT_INT,
         .to = &q.num_blocks,
         .min = 0,
         .max = 256,
         .value = "N",
         .help = "blocks of the encoder (retriever 2, generator 3)"},
        {.name = "num_heads",
         .kind = OPT_INT,
         .to = &q.num_heads,
         .min = 1,
         .max = 256,
         .value = "N",
         .help = "attention heads (4)"},
        {.name = "embedding_dim",
         .kind = OPT_INT,
         .to = &q.embedding_dim,
         .min = 4,
         .max = 16384,
         .value = "N",
         .help = "width of a vector (256)"},
        {.name = "title",
         .kind = OPT_CHOICE,
         .to = &title,
         .value = "no|yes",
         .help = "read passages with their title in front (yes)"},
        {.name = "dropout",
         .kind = OPT_FLOAT,
         .to = &q.dropout,
         .min = 0,
         .max = 0.9,
         .value = "P",
         .help = "dropout (retriever 0, generator 0.1)"},
        {.help = "optimisation"},
        {.name = "batch_size",
         .kind = OPT_INT,
         .to = &q.batch_size,
         .min = 2,
         .max = 65536,
         .value = "N",
         .help = "pairs (retriever, 256) or questions (generator, 16) a step"},
        {.name = "learning_rate",
         .kind = OPT_FLOAT,
         .to = &q.learning_rate,
         .min = 1e-9,
         .max = 10,
         .value = "LR",
         .help = "greatest learning rate"},
        {.name = "weight_decay",
         .kind = OPT_FLOAT,
         .to = &q.weight_decay,
         .min = 0,
         .max = 10,
         .value = "W",
         .help = "decoupled weight decay"},
        {.name = "lr_warmup",
         .kind = OPT_INT,
         .to = &q.lr_warmup,
         .min = 0,
         .max = 1e9,
         .value = "N",
         .help = "steps of linear warm-up"},
        {.name = "loss",
         .kind = OPT_CHOICE,
         .to = &loss,
         .value = "contrastive|published",
         .help = "the retriever's loss"},
        {.name = "hard_negatives",
         .kind = OPT_INT,
         .to = &q.hard_negatives,
         .min = 0,
         .max = 64,
         .value = "N",
         .help = "BM25 negatives a question (1)"},
        {.name = "top_k",
         .kind = OPT_INT,
         .to = &q.top_k,
         .min = 1,
         .max = 1000,
         .value = "K",
         .help = "passages found for each question before generator training (8)"},
        {.name = "full_answers",
         .kind = OPT_FLAG,
         .to = &full,
         .help = "learn full sentences, as published, instead of short answers"},
        {.help = "reports"},
        {.name = "steps_per_report",
         .kind = OPT_INT,
         .to = &q.steps_per_report,
         .min = 1,
         .max = 1e9,
         .value = "N",
         .help = "steps between report lines (10)"},
        {.name = "steps_per_eval",
         .kind = OPT_INT,
         .to = &q.steps_per_eval,
         .min = 1,
         .max = 1e9,
         .value = "N",
         .help = "steps between evaluations on dev"},
        {.name = "visualisation",
         .kind = OPT_FLAG,
         .to = &q.visualisation,
         .help = "show an example at each evaluation and write reports/TYPE.html"},
    };
    opts o = {
        .command = "train",
        .arguments = "tokenizer|retriever|generator|all",
        .about = "Trains a part of the collection, or all that is missing, unfinished or stale.\n\n"
                 "Interrupted (Ctrl+C), it saves, and the same command goes on where it was. "
                 "Options that are not "
                 "given come from the checkpoint that training goes on from.",
        .min_args = 1,
        .max_args = 1,
        .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED | OPTS_GPU,
        OPTS_TABLE(table)};
    char *command = command_line(argc, argv);
    int code = opts_parse(&o, argc, argv);
    if (code < 0) {
        const char *const words[] = {"tokenizer", "retriever", "generator", "all", NULL};
        bool known = false;
        for (int i = 0; words[i]; i++) known |= strcmp(o.args[0], words[i]) == 0;
        if (!known)
            code = opts_wrong(
                &o, "cannot train '%s'; wanted tokenizer, retriever, generator or all", o.args[0]);
    }
    if (code >= 0) {
        free(command);
        return code;
    }
    q.kind = (tokenizer_kind)kind;
    q.seed = o.seed;
    q.identifier = identifier;
    q.command = command;
    if (opts_given(&o, "loss")) q.loss = loss;
    if (opts_given(&o, "title")) q.title = title;
    if (opts_given(&o, "full_answers")) q.full_answers = full;
    tokenizer_options t = {.kind = q.kind,
                           .vocab_size = q.vocab_size > 0 ? q.vocab_size : 0,
                           .lower_case = q.lower_case,
                           .seed = (uint64_t)o.seed};
    cut_options cut = {.given = q.context_size > 0 || q.context_overlap >= 0,
                       .context_size = q.context_size > 0 ? q.context_size : 0,
                       .overlap = q.context_overlap > 0 ? q.context_overlap : 0};
    rag *r = NULL;
    int st = rag_open(o.home, &(rag_options){.write = true}, &r);
    if (!st) st = run(r, o.args[0], &q, &t, &cut);
    rag_close(r);
    free(command);
    return cli_exit((status)st);
}
