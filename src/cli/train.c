/* raglan train: from the options of the command line to a train_request (rag/train.h), in which
 * "not given" is a value of its own, because such options come from the checkpoint. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "cli/opts.h"
#include "rag/train.h"
#include "util/log.h"
#include "util/shell.h"

/* The command line as it can be typed again. */
static char *command_line(int argc, char **argv) {
    buf b = {0};
    buf_puts(&b, "raglan");
    for (int i = 0; i < argc; i++) {
        buf_putc(&b, ' ');
        shell_add(&b, argv[i]);
    }
    return buf_steal(&b);
}

static status run(rag *r, const char *what, const train_request *q, const tokenizer_options *t,
                  const cut_options *cut) {
    if (strcmp(what, "retriever") == 0) return rag_train_retriever(r, q);
    if (strcmp(what, "generator") == 0) return rag_train_generator(r, q);
    if (strcmp(what, "all") == 0) return rag_train_all(r, q);
    if (!q->new_model && rag_need_tokenizer(r) == OK)
        log_info("the tokenizer is trained: kept; --new_model makes another, and passages, vectors "
                 "and checkpoints then have to be made again");
    TRY(rag_train_tokenizer(r, t, q->new_model));
    return rag_cut(r, cut);
}

int cmd_train(int argc, char **argv) {
    train_request q = train_request_none;
    int kind, loss = LOSS_CONTRASTIVE, title = 1;
    bool full = false;
    const char *identifier = NULL;
    /* clang-format off */
    opt table[] = {
        {.help = "how long"},
        {"minutes", OPT_FLOAT, &q.minutes, NULL, 0.05, 1e6, "M",
         "bound on the whole command; steps are fitted to the measured rate, with --num_iters at "
         "most so many", false},
        {"num_iters", OPT_INT, &q.num_iters, NULL, 1, 1e12, "N",
         "steps; after a finished run, so many more", false},
        {"patience", OPT_INT, &q.patience, NULL, 0, 1e6, "N",
         "stop after so many evaluations without a better one; 0: never", false},
        {"new_model", OPT_FLAG, &q.new_model, NULL, 0, 0, NULL,
         "begin anew, whatever is there", false},
        {"identifier", OPT_TEXT, &identifier, NULL, 0, 0, "SHA1",
         "checkpoint to go on from; default: the newest", false},
        {.help = "text"},
        {"vocab_size", OPT_INT, &q.vocab_size, NULL, 300, 1e6, "N",
         "pieces of the tokenizer (10000)", false},
        {"tokenizer", OPT_CHOICE, &kind, "bpe", 0, 0, "bpe|unigram", "kind of tokenizer", false},
        {"lower_case", OPT_FLAG, &q.lower_case, NULL, 0, 0, NULL,
         "fold letters, as published", false},
        {"context_size", OPT_INT, &q.context_size, NULL, 8, 4096, "N",
         "tokens of a passage (64)", false},
        {"context_overlap", OPT_INT, &q.context_overlap, NULL, 0, 2047, "N",
         "tokens that neighbouring passages share (0)", false},
        {.help = "architecture (of a new model)"},
        {"dim", OPT_INT, &q.dim, NULL, 8, 16384, "N", "width (256)", false},
        {"num_blocks", OPT_INT, &q.num_blocks, NULL, 0, 256, "N",
         "blocks of the encoder (retriever 1, generator 3)", false},
        {"num_heads", OPT_INT, &q.num_heads, NULL, 1, 256, "N", "attention heads (4)", false},
        {"embedding_dim", OPT_INT, &q.embedding_dim, NULL, 4, 16384, "N",
         "width of a vector (256)", false},
        {"title", OPT_CHOICE, &title, NULL, 0, 0, "no|yes",
         "read passages with their title in front (yes)", false},
        {"dropout", OPT_FLOAT, &q.dropout, NULL, 0, 0.9, "P",
         "dropout (retriever 0, generator 0.1)", false},
        {.help = "optimisation"},
        {"batch_size", OPT_INT, &q.batch_size, NULL, 2, 65536, "N",
         "pairs (retriever, 256) or questions (generator, 32) a step", false},
        {"accumulate", OPT_INT, &q.accumulate, NULL, 1, 65536, "N",
         "batches a step whose gradients add up (1): the retriever's are one large batch, each "
         "text a negative for all", false},
        {"learning_rate", OPT_FLOAT, &q.learning_rate, NULL, 1e-9, 10, "LR",
         "greatest learning rate", false},
        {"weight_decay", OPT_FLOAT, &q.weight_decay, NULL, 0, 10, "W",
         "decoupled weight decay", false},
        {"lr_warmup", OPT_INT, &q.lr_warmup, NULL, 0, 1e9, "N", "steps of linear warm-up", false},
        {"loss", OPT_CHOICE, &loss, NULL, 0, 0, "contrastive|published",
         "the retriever's loss", false},
        {"hard_negatives", OPT_INT, &q.hard_negatives, NULL, 0, 64, "N",
         "BM25 negatives a question (1)", false},
        {"top_k", OPT_INT, &q.top_k, NULL, 1, 1000, "K",
         "passages found for each question before generator training (8)", false},
        {"full_answers", OPT_FLAG, &full, NULL, 0, 0, NULL,
         "learn full sentences, as published, instead of short answers", false},
        {"checkpoint", OPT_FLAG, &q.recompute, NULL, 0, 0, NULL,
         "gradient checkpointing: the same model in less memory and more time", false},
        {.help = "reports"},
        {"steps_per_report", OPT_INT, &q.steps_per_report, NULL, 1, 1e9, "N",
         "steps between report lines (10)", false},
        {"steps_per_eval", OPT_INT, &q.steps_per_eval, NULL, 1, 1e9, "N",
         "steps between evaluations on dev", false},
        {"visualisation", OPT_FLAG, &q.visualisation, NULL, 0, 0, NULL,
         "show an example at each evaluation and write reports/TYPE.html", false},
    };
    /* clang-format on */
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
