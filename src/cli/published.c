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
         p->r->home, p->r->home);
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
        const char *of = json_str(json_object_get(c.meta, "hashes"), "tokenizer", "");
        *stale = strcmp(of, tokenizer_hash(p->r->t)) != 0;
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
                 p->r->home, p->r->home);
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
    bool gradient_checkpoints = false;
    train_request *q = &p.q;
    /* Defaults stand in the help, not in the table: what is not given comes from the checkpoint
     * that training goes on from. */
    opt table[] = {
        {.help = "what to do"},
        {.name = "target",
         .kind = OPT_CHOICE,
         .to = &p.target,
         .standard = "none",
         .value = "none|dataset|retriever|all",
         .help = "what to make; none says what is there"},
        {.name = "inference",
         .kind = OPT_FLAG,
         .to = &p.inference,
         .help = "use it: a prompt for questions; `quit` leaves"},
        {.name = "from_dir",
         .kind = OPT_TEXT,
         .to = &p.from,
         .value = "SRC",
         .help = "TriviaQA folder, or any documents and questions; only read"},
        {.name = "to_dir",
         .kind = OPT_TEXT,
         .to = &p.to,
         .value = "D",
         .help = "where the dataset step writes; default: dataset in the home"},
        {.name = "identifier",
         .kind = OPT_TEXT,
         .to = &p.identifier,
         .value = "SHA1",
         .help = "generator (with --target retriever: retriever) to go on from or to use"},
        {.name = "retriever_identifier",
         .kind = OPT_TEXT,
         .to = &p.retriever_identifier,
         .value = "SHA1",
         .help = "retriever to go on from or to use"},
        {.name = "new_model",
         .kind = OPT_FLAG,
         .to = &q->new_model,
         .help = "begin anew, whatever is there"},
        {.name = "visualisation",
         .kind = OPT_FLAG,
         .to = &q->visualisation,
         .help = "show an example at each evaluation, write reports/TYPE.html"},
        {.help = "text"},
        {.name = "context_size",
         .kind = OPT_INT,
         .to = &q->context_size,
         .min = 8,
         .max = 4096,
         .value = "N",
         .help = "tokens of a passage (64)"},
        {.name = "vocab_size",
         .kind = OPT_INT,
         .to = &q->vocab_size,
         .min = 300,
         .max = 1e6,
         .value = "N",
         .help = "pieces of the tokenizer (10000)"},
        {.name = "lower_case", .kind = OPT_FLAG, .to = &q->lower_case, .help = "fold letters"},
        {.help = "models"},
        {.name = "num_blocks",
         .kind = OPT_INT,
         .to = &q->num_blocks,
         .min = 1,
         .max = 256,
         .value = "N",
         .help = "blocks of an encoder (4)"},
        {.name = "dim",
         .kind = OPT_INT,
         .to = &q->dim,
         .min = 8,
         .max = 16384,
         .value = "N",
         .help = "width (1024)"},
        {.name = "num_heads",
         .kind = OPT_INT,
         .to = &q->num_heads,
         .min = 1,
         .max = 256,
         .value = "N",
         .help = "attention heads (8)"},
        {.name = "embedding_dim",
         .kind = OPT_INT,
         .to = &q->embedding_dim,
         .min = 4,
         .max = 16384,
         .value = "N",
         .help = "width of a vector (64)"},
        {.name = "checkpoint",
         .kind = OPT_FLAG,
         .to = &gradient_checkpoints,
         .help = "gradient checkpointing: taken, and not needed here"},
        {.help = "training"},
        {.name = "batch_size",
         .kind = OPT_INT,
         .to = &q->batch_size,
         .min = 2,
         .max = 65536,
         .value = "N",
         .help = "passages or pairs (retriever), questions (generator) a step (32)"},
        {.name = "num_iters",
         .kind = OPT_INT,
         .to = &q->num_iters,
         .min = 1,
         .max = 1e12,
         .value = "N",
         .help = "steps (100000)"},
        {.name = "learning_rate",
         .kind = OPT_FLOAT,
         .to = &q->learning_rate,
         .min = 1e-9,
         .max = 10,
         .value = "LR",
         .help = "learning rate (3e-4)"},
        {.name = "weight_decay",
         .kind = OPT_FLOAT,
         .to = &q->weight_decay,
         .min = 0,
         .max = 10,
         .value = "W",
         .help = "decoupled weight decay (1e-5)"},
        {.name = "lr_warmup",
         .kind = OPT_INT,
         .to = &q->lr_warmup,
         .min = 0,
         .max = 1e9,
         .value = "N",
         .help = "steps of linear warm-up (200)"},
        {.name = "steps_per_report",
         .kind = OPT_INT,
         .to = &q->steps_per_report,
         .min = 1,
         .max = 1e9,
         .value = "N",
         .help = "steps between report lines (10)"},
        {.name = "steps_per_eval",
         .kind = OPT_INT,
         .to = &q->steps_per_eval,
         .min = 1,
         .max = 1e9,
         .value = "N",
         .help = "steps between evaluations (1000)"},
        {.name = "loss",
         .kind = OPT_CHOICE,
         .to = &loss,
         .value = "contrastive|published",
         .help = "the retriever's loss (contrastive)"},
        {.help = "passages and answers"},
        {.name = "top_k",
         .kind = OPT_INT,
         .to = &q->top_k,
         .min = 1,
         .max = 1000,
         .value = "K",
         .help = "passages found, and tokens sampled from (50)"},
        {.name = "retriever_top_k",
         .kind = OPT_INT,
         .to = &p.retriever_top_k,
         .min = 1,
         .max = 1000,
         .value = "K",
         .help = "passages found, where that is another number"},
        {.name = "temperature",
         .kind = OPT_FLOAT,
         .to = &p.temperature,
         .standard = "0.5",
         .min = 0,
         .max = 10,
         .value = "T",
         .help = "of sampling; 0: greedy"},
        EXPAND_OPTIONS(p.d.expand),
    };
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
        if (gradient_checkpoints)
            log_info("--checkpoint: activations are kept; there is nothing to do");
        code = run(&p);
    }
    free(command);
    return code;
}
