/* The published form, `raglan --target none|dataset|retriever|all [--inference] [options]`: the
 * options and defaults of the system that raglan continues, on top of the same calls as the
 * subcommands. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/asking.h"
#include "cli/cli.h"
#include "cli/expand_opts.h"
#include "cli/hits.h"
#include "cli/opts.h"
#include "cli/prompt.h"
#include "data/dataset.h"
#include "rag/train.h"
#include "util/log.h"

enum { TARGET_NONE, TARGET_DATASET, TARGET_RETRIEVER, TARGET_ALL };
enum { STANDARD_TOP_K = 50 };

typedef struct published {
    const opts *o;
    int target;
    bool inference;
    const char *from, *to, *identifier, *retriever_identifier;
    int64_t retriever_top_k; /* -1: not given */
    double temperature;
    train_request q;
    dataset_options d;
    rag *r;
} published;

/* Passages: --retriever_top_k, else --top_k, which then means both. */
static int64_t top_passages_of(const published *p) {
    return p->retriever_top_k > 0 ? p->retriever_top_k
           : p->q.top_k > 0       ? p->q.top_k
                                  : STANDARD_TOP_K;
}

/* ---- dataset ---- */

static status ingest_source(published *p) {
    rag_ingest_report report = {0};
    status st = (status)rag_ingest(p->r, &p->from, 1, NULL, NULL, &report);
    const rag_counts *d = &report.documents, *q = &report.questions;
    if (!st)
        log_info("documents: %lld added, %lld unchanged, %lld replaced, %lld skipped; questions: "
                 "%lld added, %lld unchanged, %lld replaced, %lld skipped",
                 (long long)d->added, (long long)d->unchanged, (long long)d->replaced,
                 (long long)d->skipped, (long long)q->added, (long long)q->unchanged,
                 (long long)q->replaced, (long long)q->skipped);
    rag_ingest_report_clear(&report);
    return st;
}

/* A tokenizer that is there is kept: models belong to it. */
static status make_tokenizer(published *p, bool is_trivia) {
    char *path = rag_path(p->r, HOME_TOKENIZER);
    bool keep = file_exists(path) && !p->q.new_model;
    status st = OK;
    if (keep)
        log_info("%s is there: kept", path);
    else if (is_trivia)
        st = dataset_train_tokenizer(&p->d);
    else
        st = rag_train_tokenizer(p->r, &p->d.tokenizer, true);
    if (!st && !keep) rag_forget_models(p->r);
    free(path);
    return st;
}

static status run_dataset(published *p) {
    bool is_trivia = dataset_is_there(p->from);
    int64_t n_sentences = 0;
    if (!is_trivia)
        log_warn("%s holds no qa/NAME-train.json (TriviaQA's layout): there is nothing for the "
                 "dataset step to make; its documents and questions are read as they are",
                 p->from);
    if (is_trivia) TRY(dataset_prepare(&p->d));
    if (is_trivia) TRY(dataset_qa_text(&p->d));
    TRY(ingest_source(p));
    if (is_trivia) TRY(dataset_full_answers(p->r->s, p->d.to, &n_sentences));
    TRY(make_tokenizer(p, is_trivia));
    if (is_trivia) TRY(dataset_load_retriever(&p->d));
    if (is_trivia) TRY(dataset_load_generator(&p->d));
    return rag_cut(p->r, &(cut_options){.given = true, .context_size = p->d.context_size});
}

/* ---- training ---- */

static status need_documents(published *p) {
    store_counts n;
    TRY(store_count(p->r->s, &n));
    if (n.documents > 0) return OK;
    if (p->target == TARGET_ALL && p->from) return run_dataset(p);
    FAIL(ERR_STATE,
         "%s holds no documents yet: run `raglan --target dataset --from_dir SRC --save_dir %s`",
         p->r->home, p->r->home_word);
}

static status run_retriever(published *p, bool anew) {
    train_request q = p->q;
    q.identifier = p->retriever_identifier         ? p->retriever_identifier
                   : p->target == TARGET_RETRIEVER ? p->identifier
                                                   : NULL;
    q.new_model |= anew;
    TRY(rag_train_retriever(p->r, &q));
    return rag_index_all(p->r);
}

/* `all` trains the retriever where there is none for this tokenizer. One that is there is used as
 * it is, unless it is `all` itself that was stopped while training it: the collection remembers. */
static const char mark[] = "published.all";

static status retriever_is_there(published *p, bool *there, bool *stale) {
    checkpoint c = {0};
    arena *a = arena_new(0);
    char *begun = NULL;
    *there = *stale = false;
    status st =
        checkpoint_find(p->r->home, "retriever", p->retriever_identifier, CHECKPOINT_NEWEST, &c);
    if (!st) st = store_get(p->r->s, mark, a, &begun);
    if (!st && c.identifier[0] && !rag_need_tokenizer(p->r)) {
        const char *of = checkpoint_tokenizer(&c);
        *stale = !rag_knows_tokenizer(p->r, of);
        *there = !*stale && (c.finished || !begun);
        if (*there)
            log_info("the retriever is there (step %lld of %lld): used as it is", (long long)c.step,
                     (long long)c.total_steps);
    }
    checkpoint_clear(&c);
    arena_free(a);
    return st;
}

static status run_all(published *p) {
    bool there, stale;
    TRY(retriever_is_there(p, &there, &stale));
    if (!there) {
        TRY(store_set(p->r->s, mark, "retriever"));
        TRY(run_retriever(p, stale));
    }
    TRY(store_set(p->r->s, mark, NULL));
    train_request q = p->q;
    q.identifier = p->identifier;
    q.top_k = top_passages_of(p);
    return rag_train_generator(p->r, &q);
}

static status train(published *p) {
    TRY((status)rag_open(
        p->o->home, &(rag_options){.write = true, .retriever = p->retriever_identifier}, &p->r));
    if (p->target == TARGET_DATASET) return run_dataset(p);
    TRY(need_documents(p));
    if (p->target == TARGET_ALL) return run_all(p);
    TRY(store_set(p->r->s, mark, NULL));
    return run_retriever(p, false);
}

/* ---- inference ---- */

static status search_one(void *arg, const char *question) {
    published *p = arg;
    rag_hits *h = NULL;
    TRY((status)rag_search(p->r, question, RAG_DENSE, top_passages_of(p), &h));
    hits_print(h, 300);
    fflush(stdout);
    rag_hits_free(h);
    return OK;
}

static status infer(published *p) {
    const char *searcher = p->retriever_identifier;
    if (p->target == TARGET_RETRIEVER && !searcher) searcher = p->identifier;
    TRY((status)rag_open(
        p->o->home,
        &(rag_options){.retriever = searcher,
                       .generator = p->target == TARGET_ALL ? p->identifier : NULL},
        &p->r));
    if (p->target == TARGET_RETRIEVER) {
        bool has;
        TRY(rag_need_retriever(p->r, &has));
        if (!has)
            FAIL(ERR_STATE,
                 "%s has no retriever yet: run `raglan --target retriever --save_dir %s`",
                 p->r->home, p->r->home_word);
        return prompt_loop(search_one, p);
    }
    TRY(rag_need_generator(p->r)); /* said before the first question */
    asking a = {.r = p->r,
                .o = {.mode = RAG_AUTO,
                      .top_k = top_passages_of(p),
                      .beams = 1,
                      .temperature = p->temperature,
                      .sample_top_k = (int)(p->q.top_k > 0 ? p->q.top_k : STANDARD_TOP_K),
                      .seed = (uint64_t)p->o->seed}};
    return prompt_loop(ask_one, &a);
}

/* ---- the command line ---- */

static char *said(int argc, char **argv) {
    buf b = {0};
    buf_puts(&b, "raglan");
    for (int i = 1; i < argc; i++) buf_printf(&b, " %s", argv[i]);
    return buf_steal(&b);
}

static int wrong(const published *p) {
    if (p->inference && p->target < TARGET_RETRIEVER)
        return opts_wrong(p->o,
                          "--inference wants --target retriever (find passages) or all (answer)");
    if (p->target == TARGET_DATASET && !p->from)
        return opts_wrong(p->o,
                          "--target dataset: --from_dir is missing, wanted a TriviaQA folder");
    return -1;
}

static int run(published *p) {
    if (p->target == TARGET_NONE)
        return cmd_info(3, (char *[]){"info", "--save_dir", (char *)p->o->home, NULL});
    char *to = p->to ? xstrdup(p->to) : xasprintf("%s/dataset", p->o->home);
    p->d.from = p->from;
    p->d.to = to;
    p->d.home = p->o->home;
    p->d.lower_case = p->q.lower_case;
    p->d.context_size = p->q.context_size > 0 ? p->q.context_size : 64;
    p->d.tokenizer = (tokenizer_options){.kind = TOKENIZER_BPE,
                                         .vocab_size = p->q.vocab_size > 0 ? p->q.vocab_size : 0,
                                         .lower_case = p->q.lower_case,
                                         .seed = (uint64_t)p->o->seed};
    p->d.expand.key = expand_key();
    p->d.expand.retries = EXPAND_RETRIES;
    status st = p->inference ? infer(p) : train(p);
    rag_close(p->r);
    free(to);
    return cli_exit(st);
}

int cmd_published(int argc, char **argv) {
    published p = {.q = train_request_none, .retriever_top_k = -1};
    int loss = LOSS_CONTRASTIVE;
    train_request *q = &p.q;
    /* Defaults stand in the help, not in the table: what is not given comes from the checkpoint
     * that training goes on from. */
    /* clang-format off */
    opt table[] = {
        {.help = "what to do"},
        {"target", OPT_CHOICE, &p.target, "none", 0, 0, "none|dataset|retriever|all",
         "what to make; none says what is there", false},
        {"inference", OPT_FLAG, &p.inference, NULL, 0, 0, NULL,
         "use it: a prompt for questions; `quit` leaves", false},
        {"from_dir", OPT_TEXT, &p.from, NULL, 0, 0, "SRC",
         "TriviaQA folder, or any documents and questions; only read", false},
        {"to_dir", OPT_TEXT, &p.to, NULL, 0, 0, "D",
         "where the dataset step writes; default: dataset in the home", false},
        {"identifier", OPT_TEXT, &p.identifier, NULL, 0, 0, "SHA1",
         "generator (with --target retriever: retriever) to go on from or to use", false},
        {"retriever_identifier", OPT_TEXT, &p.retriever_identifier, NULL, 0, 0, "SHA1",
         "retriever to go on from or to use", false},
        {"new_model", OPT_FLAG, &q->new_model, NULL, 0, 0, NULL,
         "begin anew, whatever is there", false},
        {"visualisation", OPT_FLAG, &q->visualisation, NULL, 0, 0, NULL,
         "show an example at each evaluation, write reports/TYPE.html", false},
        {.help = "text"},
        {"context_size", OPT_INT, &q->context_size, NULL, 8, 4096, "N",
         "tokens of a passage (64)", false},
        {"vocab_size", OPT_INT, &q->vocab_size, NULL, 300, 1e6, "N",
         "pieces of the tokenizer (10000)", false},
        {"lower_case", OPT_FLAG, &q->lower_case, NULL, 0, 0, NULL, "fold letters", false},
        {.help = "models"},
        {"num_blocks", OPT_INT, &q->num_blocks, NULL, 1, 256, "N",
         "blocks of an encoder (4)", false},
        {"dim", OPT_INT, &q->dim, NULL, 8, 16384, "N", "width (1024)", false},
        {"num_heads", OPT_INT, &q->num_heads, NULL, 1, 256, "N", "attention heads (8)", false},
        {"embedding_dim", OPT_INT, &q->embedding_dim, NULL, 4, 16384, "N",
         "width of a vector (64)", false},
        {"checkpoint", OPT_FLAG, &q->recompute, NULL, 0, 0, NULL,
         "gradient checkpointing: the same model in less memory and more time", false},
        {.help = "training"},
        {"batch_size", OPT_INT, &q->batch_size, NULL, 2, 65536, "N",
         "passages or pairs (retriever), questions (generator) a step (32)", false},
        {"num_iters", OPT_INT, &q->num_iters, NULL, 1, 1e12, "N", "steps (100000)", false},
        {"learning_rate", OPT_FLOAT, &q->learning_rate, NULL, 1e-9, 10, "LR",
         "learning rate (3e-4)", false},
        {"weight_decay", OPT_FLOAT, &q->weight_decay, NULL, 0, 10, "W",
         "decoupled weight decay (1e-5)", false},
        {"lr_warmup", OPT_INT, &q->lr_warmup, NULL, 0, 1e9, "N",
         "steps of linear warm-up (200)", false},
        {"steps_per_report", OPT_INT, &q->steps_per_report, NULL, 1, 1e9, "N",
         "steps between report lines (10)", false},
        {"steps_per_eval", OPT_INT, &q->steps_per_eval, NULL, 1, 1e9, "N",
         "steps between evaluations (1000)", false},
        {"loss", OPT_CHOICE, &loss, NULL, 0, 0, "contrastive|published",
         "the retriever's loss (contrastive)", false},
        {.help = "passages and answers"},
        {"top_k", OPT_INT, &q->top_k, NULL, 1, 1000, "K",
         "passages found, and tokens sampled from (50)", false},
        {"retriever_top_k", OPT_INT, &p.retriever_top_k, NULL, 1, 1000, "K",
         "passages found, where that is another number", false},
        {"temperature", OPT_FLOAT, &p.temperature, "0.5", 0, 10, "T",
         "of sampling; 0: greedy", false},
        EXPAND_OPTIONS(p.d.expand),
    };
    /* clang-format on */
    opts o = {.command = "published",
              .about =
                  "The published form, written without a subcommand:\n\n"
                  "  raglan --target dataset --from_dir SRC --to_dir D --save_dir H\n"
                  "  raglan --target retriever --batch_size 128 --num_iters 10000 --save_dir H\n"
                  "  raglan --target all --batch_size 32 --num_iters 100000 --save_dir H\n"
                  "  raglan --target all --inference --save_dir H\n\n"
                  "dataset: the files of the dataset step into D, documents and questions into "
                  "the home H, the tokenizer. retriever: trains it and indexes. all: whatever of "
                  "that is missing, then the generator. The defaults are the published ones, made "
                  "for days on a big machine; the subcommands have faster ones. Ctrl+C saves, and "
                  "the same line goes on.",
              .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED | OPTS_GPU,
              OPTS_TABLE(table)};
    p.o = &o;
    char *command = said(argc, argv);
    int code = opts_parse(&o, argc, argv);
    if (code < 0) code = wrong(&p);
    if (code < 0) {
        q->published = true;
        q->seed = o.seed;
        q->command = command;
        if (opts_given(&o, "loss")) q->loss = loss;
        code = run(&p);
    }
    free(command);
    return code;
}
