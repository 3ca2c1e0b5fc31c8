/* Training from a collection: options are what was given, else what the checkpoint says, else the
 * default; then the material, the model, the task, the loop. */
#include "rag/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

const train_request train_request_none = {.vocab_size = -1,
                                          .context_size = -1,
                                          .context_overlap = -1,
                                          .dim = -1,
                                          .num_blocks = -1,
                                          .num_heads = -1,
                                          .embedding_dim = -1,
                                          .title = -1,
                                          .batch_size = -1,
                                          .accumulate = -1,
                                          .num_iters = -1,
                                          .lr_warmup = -1,
                                          .steps_per_report = -1,
                                          .steps_per_eval = -1,
                                          .patience = -1,
                                          .seed = -1,
                                          .top_k = -1,
                                          .hard_negatives = -1,
                                          .learning_rate = NAN,
                                          .weight_decay = NAN,
                                          .minutes = NAN,
                                          .dropout = NAN,
                                          .deadline_s = NAN,
                                          .loss = -1,
                                          .full_answers = -1};

/* ---- options: given, else the checkpoint's, else the default ---- */

typedef struct merge {
    const json_t *old; /* the run that is gone on from; NULL: none */
    json_t *run;       /* what holds now, for the metadata */
} merge;

static int64_t pick(merge *m, const char *key, int64_t given, int64_t missing) {
    int64_t v = given >= 0 ? given : json_int(m->old, key, missing);
    json_object_set_new(m->run, key, json_integer(v));
    return v;
}

static double pick_real(merge *m, const char *key, double given, double missing) {
    double v = !isnan(given) ? given : json_num(m->old, key, missing);
    json_object_set_new(m->run, key, json_real(v));
    return v;
}

/* The loop's own options, the same for every model. */
typedef struct run_defaults {
    int64_t num_iters, warmup, steps_per_report, steps_per_eval;
    double lr, weight_decay, beta2, flat;
    bool muon;
} run_defaults;

static train_options loop_options(const rag *r, const train_request *q, merge *m,
                                  const run_defaults *d) {
    train_options o = {.home = r->home,
                       .identifier = q->identifier,
                       .new_model = q->new_model,
                       .num_iters_given = q->num_iters >= 0,
                       .save_every_s = 60,
                       .visualisation = q->visualisation,
                       .command = q->command,
                       .run = m->run,
                       .optimizer = adamw_default()};
    o.minutes = isnan(q->deadline_s) ? (isnan(q->minutes) ? 0 : q->minutes)
                                     : fmax((q->deadline_s - now_s()) / 60, 0.05);
    o.num_iters = pick(m, "num_iters", q->num_iters, d->num_iters);
    o.steps_per_report = pick(m, "steps_per_report", q->steps_per_report, d->steps_per_report);
    o.steps_per_eval = pick(m, "steps_per_eval", q->steps_per_eval, d->steps_per_eval);
    o.patience = pick(m, "patience", q->patience, 0);
    o.seed = (uint64_t)pick(m, "seed", q->seed, 42);
    o.lr = (schedule){.lr = (float)pick_real(m, "learning_rate", q->learning_rate, d->lr),
                      .warmup = pick(m, "lr_warmup", q->lr_warmup, d->warmup),
                      .flat = (float)pick_real(m, "lr_flat", NAN, d->flat),
                      .floor = 0.03f};
    o.optimizer.lr = o.lr.lr;
    o.optimizer.beta2 = (float)pick_real(m, "beta2", NAN, d->beta2);
    o.optimizer.muon = pick(m, "muon", -1, d->muon);
    o.optimizer.weight_decay =
        (float)pick_real(m, "weight_decay", q->weight_decay, d->weight_decay);
    return o;
}

/* ---- what every model's training begins with ---- */

typedef struct material {
    corpus *c;
    qa_set *train, *dev;
    json_t *old_config, *old_run; /* of the checkpoint gone on from; NULL: none */
    json_t *hashes;
} material;

static void material_clear(material *m) {
    qa_set_free(m->train);
    qa_set_free(m->dev);
    corpus_free(m->c);
    json_decref(m->old_config);
    json_decref(m->old_run);
    json_decref(m->hashes);
}

static status material_load(rag *r, const char *type, const train_request *q, material *m) {
    TRY(rag_need_tokenizer(r));
    if (!q->new_model) {
        bool finished;
        TRY(train_peek(r->home, type, q->identifier, &m->old_config, &m->old_run, &finished));
    }
    TRY(corpus_load(r->s, r->t, &m->c));
    TRY(qa_set_load(r->s, m->c, r->t, SPLIT_TRAIN, 0, &m->train));
    TRY(qa_set_load(r->s, m->c, r->t, SPLIT_DEV, 0, &m->dev));
    char data[41];
    TRY(store_data_hash(r->s, data));
    m->hashes = json_pack("{s:s, s:s}", "tokenizer", tokenizer_hash(r->t), "data", data);
    log_info("%ld passage%s of %ld document%s; %ld train question%s (%ld without an answering "
             "passage), %ld dev question%s",
             (long)m->c->n, plural(m->c->n), (long)m->c->n_documents, plural(m->c->n_documents),
             (long)m->train->n, plural(m->train->n), (long)m->train->n_without, (long)m->dev->n,
             plural(m->dev->n));
    return OK;
}

/* A retriever that was imported is trained on the same material in its own tokens. */
static status respell_for(rag *r, const train_request *q, material *m) {
    checkpoint c = {0};
    tokenizer_close(r->reads); /* of the retriever that was opened for something else */
    r->reads = NULL;
    if (q->new_model) return OK;
    TRY(checkpoint_find(r->home, "retriever", q->identifier, CHECKPOINT_NEWEST, &c));
    status st = OK; /* a stale one is refused, with its sentence, when the run begins */
    if (c.meta && rag_knows_tokenizer(r, checkpoint_tokenizer(&c))) st = rag_need_reads(r, &c);
    checkpoint_clear(&c);
    if (st || !r->reads) return st;
    corpus_respell(m->c, r->t, r->reads);
    qa_set_respell(m->train, r->reads);
    qa_set_respell(m->dev, r->reads);
    json_object_set_new(m->hashes, "tokenizer", json_string(tokenizer_hash(r->reads)));
    return OK;
}

static status cut_as_asked(rag *r, const train_request *q) {
    cut_options cut = {.given = q->context_size > 0 || q->context_overlap >= 0,
                       .context_size = q->context_size > 0 ? q->context_size : 0,
                       .overlap = q->context_overlap > 0 ? q->context_overlap : 0};
    tokenizer_options t = {.kind = q->kind,
                           .vocab_size = q->vocab_size > 0 ? q->vocab_size : 0,
                           .lower_case = q->lower_case};
    TRY(rag_train_tokenizer(r, &t, false));
    return rag_cut(r, &cut);
}

/* ---- retriever ---- */

static status retriever_architecture(rag *r, const train_request *q, const material *m,
                                     retriever_config *c) {
    *c = retriever_defaults();
    if (q->published) {
        c->dim = 1024;
        c->embedding_dim = 64;
        c->n_blocks = 4;
        c->n_heads = 8;
    }
    if (m->old_config) TRY(retriever_config_read(m->old_config, c));
    if (q->dim > 0) c->dim = q->dim;
    if (q->embedding_dim > 0)
        c->embedding_dim = q->embedding_dim;
    else if (q->dim > 0 && !m->old_config && !q->published)
        c->embedding_dim = q->dim < c->embedding_dim ? q->dim : c->embedding_dim;
    if (q->num_blocks >= 0) c->n_blocks = (int)q->num_blocks;
    if (q->num_heads > 0) c->n_heads = (int)q->num_heads;
    if (q->title >= 0) c->title = q->title;
    if (q->loss == LOSS_PUBLISHED) c->bag = c->unit = c->title = false;
    if (!isnan(q->dropout)) c->dropout = (float)q->dropout;
    if (c->arch == RETRIEVER_RECURRING) c->vocab = tokenizer_size(r->t);
    if (!m->old_config) {
        json_t *cut = NULL;
        TRY(json_parse(store_cut(r->s), strlen(store_cut(r->s)), "the collection's cut", &cut));
        c->window = json_int(cut, "context_size", 64) + (c->title ? EMBED_TITLE_MAX : 0);
        json_decref(cut);
    }
    if (c->dim % c->n_heads)
        FAIL(ERR_ARG, "--dim %ld is no multiple of --num_heads %d", (long)c->dim, c->n_heads);
    return OK;
}

static status open_lexical(rag *r, lexical **out) {
    char *folder = rag_path(r, "index");
    manifest m;
    status st = manifest_read(folder, &m);
    const char **names = xcalloc((size_t)m.n_lexical + 1, sizeof *names);
    for (int i = 0; i < m.n_lexical; i++) names[i] = m.lexical[i].file;
    if (!st) st = lexical_open(folder, names, m.n_lexical, manifest_deleted(&m), out);
    free(names);
    manifest_clear(&m);
    free(folder);
    return st;
}

/* Weights that know the language already: small steps, from labelled questions wherever there are
 * any; a batch that fits into memory with all its activations. */
static void begin_from_weights(retriever_task_options *o) {
    o->batch_size = o->block_batch = 32;
    o->crop_share = 0;
    o->label_share = 1;
    o->label_epochs = INFINITY;
}

/* Crops of a passage stop teaching long before: beyond so many texts a passage the vectors of new
 * questions get worse (docs/experiments.md). */
enum { TEXTS_A_PASSAGE = 200, LEAST_STEPS = 1500 };
static int64_t useful_steps(const corpus *c, int64_t batch) {
    int64_t n = c->n * TEXTS_A_PASSAGE / batch;
    return n > LEAST_STEPS ? n : LEAST_STEPS;
}

static status run_retriever(rag *r, const train_request *q, material *m, const lexical *lex) {
    retriever_config c;
    TRY(retriever_architecture(r, q, m, &c));
    retriever_task_options o = retriever_task_defaults();
    o.recompute = q->recompute;
    merge run = {m->old_run, json_object()};
    o.loss = (retriever_loss)pick(&run, "loss", q->loss, LOSS_CONTRASTIVE);
    bool imported = c.arch == RETRIEVER_BERT;
    if (imported) begin_from_weights(&o);
    int64_t batch = pick(&run, "batch_size", q->batch_size, q->published ? 32 : o.batch_size);
    if (batch != o.batch_size) o.block_batch = batch < o.block_batch ? batch : o.block_batch;
    if (imported) o.block_batch = batch;
    o.batch_size = batch;
    o.accumulate = pick(&run, "accumulate", q->accumulate, o.accumulate);
    o.hard_negatives = pick(&run, "hard_negatives", q->hard_negatives, o.hard_negatives);
    run_defaults d = {.num_iters = q->published ? 100000 : 1500,
                      .warmup = q->published ? 200 : 50,
                      .steps_per_report = 10,
                      .steps_per_eval = q->published ? 1000 : 250,
                      .lr = q->published ? 3e-4 : 5e-4,
                      .weight_decay = 1e-5,
                      .beta2 = q->published ? 0.999 : 0.98,
                      .flat = q->published ? 1 : 0.05};
    if (imported)
        d = (run_defaults){.num_iters = 300,
                           .warmup = 30,
                           .steps_per_report = 10,
                           .steps_per_eval = 100,
                           .lr = 2e-5,
                           .weight_decay = 0.01,
                           .beta2 = 0.999};
    train_options loop = loop_options(r, q, &run, &d);
    o.seed = loop.seed;
    if (!q->published) loop.useful_iters = useful_steps(m->c, batch * o.accumulate);

    float *idf = corpus_idf(m->c, c.vocab);
    retriever *model = retriever_new(&c, idf, loop.seed, true);
    free(idf);
    status st = model ? OK : ERR_MEM;
    retriever_task *task = NULL;
    if (!st)
        st = retriever_task_new(model, m->c, r->reads ? r->reads : r->t, m->train, m->dev, lex, &o,
                                &task);
    if (!st) {
        trainee t = {.config = retriever_config_json(&c), .hashes = m->hashes};
        retriever_task_trainee(task, &t);
        char identifier[41];
        st = train_run(&t, &loop, identifier);
        json_decref(t.config);
    }
    retriever_task_free(task);
    retriever_free(model);
    json_decref(run.run);
    return st;
}

status rag_train_retriever(rag *r, const train_request *q) {
    TRY(cut_as_asked(r, q));
    TRY(rag_index_lexical(r));
    material m = {0};
    lexical *lex = NULL;
    status st = material_load(r, "retriever", q, &m);
    if (!st) st = respell_for(r, q, &m);
    if (!st) st = open_lexical(r, &lex);
    if (!st) st = run_retriever(r, q, &m, lex);
    lexical_close(lex);
    material_clear(&m);
    rag_forget_models(r);
    return st;
}

/* ---- generator ---- */

static status generator_architecture(rag *r, const train_request *q, const material *m,
                                     generator_config *c) {
    *c = generator_defaults();
    if (q->published) {
        c->dim = 1024;
        c->n_encoder = c->n_decoder = 4;
        c->n_heads = 8;
    }
    if (m->old_config) TRY(generator_config_read(m->old_config, c));
    if (q->dim > 0) c->dim = q->dim;
    if (q->num_blocks >= 0) c->n_encoder = (int)q->num_blocks;
    if (q->num_heads > 0) c->n_heads = (int)q->num_heads;
    if (!isnan(q->dropout)) c->dropout = (float)q->dropout;
    c->vocab = tokenizer_size(r->t);
    if (!m->old_config)
        for (int64_t i = 0; i < m->c->n; i++) {
            int64_t n = m->c->text[i].end - m->c->text[i].begin;
            if (n > c->limits.passage) c->limits.passage = n;
        }
    if (c->dim % c->n_heads || (c->dim / c->n_heads) % 2)
        FAIL(ERR_ARG, "--dim %ld cut in --num_heads %d: wanted heads of an even whole width",
             (long)c->dim, c->n_heads);
    return OK;
}

/* What the retriever knows of words (from crops: which stand together) is the reader's first
 * knowledge: its embedding, brought to rows of length 1 on average. */
static void begin_with(generator *g, const retriever *m) {
    int64_t v = g->c.vocab, d = g->c.dim, e = m->c.dim, n = d < e ? d : e;
    double sum = 0;
    for (int64_t i = 0; i < v; i++) {
        double squares = 0;
        for (int64_t j = 0; j < n; j++)
            squares += (double)m->embedding->v[i * e + j] * (double)m->embedding->v[i * e + j];
        sum += sqrt(squares);
    }
    float scale = sum > 0 ? (float)((double)v / sum) : 1;
    for (int64_t i = 0; i < v; i++)
        for (int64_t j = 0; j < n; j++)
            g->embedding->v[i * d + j] = scale * m->embedding->v[i * e + j];
    params_touch(g->p);
}

static status run_generator(rag *r, const train_request *q, material *m, top_passages top,
                            top_passages dev_top, merge *run, generator_task_options *o) {
    generator_config c;
    TRY(generator_architecture(r, q, m, &c));
    if (o->full_answers && !m->old_config) {
        c.limits.answer = 64;
        c.spans = false;
    }
    run_defaults d = {.num_iters = q->published ? 100000 : 3000,
                      .warmup = q->published ? 200 : 100,
                      .steps_per_report = 10,
                      .steps_per_eval = q->published ? 1000 : 500,
                      .lr = q->published ? 3e-4 : 1.5e-3,
                      .weight_decay = q->published ? 1e-5 : 0.01,
                      .beta2 = q->published ? 0.999 : 0.98,
                      .flat = q->published ? 1 : 0.1,
                      .muon = !q->published};
    train_options loop = loop_options(r, q, run, &d);
    o->seed = loop.seed;
    generator *model = generator_new(&c, loop.seed, true);
    status st = model ? OK : ERR_MEM;
    if (!st && r->m && !r->reads) begin_with(model, r->m);
    generator_task *task = NULL;
    if (!st)
        st = generator_task_new(model, &r->traits, m->c, r->t, m->train, top, m->dev, dev_top,
                                search_lexical(r->index), o, &task);
    if (!st) {
        trainee t = {.config = generator_config_json(&c), .hashes = m->hashes};
        generator_task_trainee(task, &t);
        char identifier[41];
        st = train_run(&t, &loop, identifier);
        json_decref(t.config);
    }
    generator_task_free(task);
    generator_free(model);
    return st;
}

/* A question whose answer stands in a passage. */
static bool has_lesson(const qa_set *train) {
    for (int64_t i = 0; i < train->n; i++)
        if (train->at[i].relevant.end > train->at[i].relevant.begin) return true;
    return false;
}

status rag_train_generator(rag *r, const train_request *q) {
    TRY(cut_as_asked(r, q));
    TRY(rag_index_all(r));
    material m = {0};
    top_passages top = {0}, dev_top = {0};
    status st = material_load(r, "generator", q, &m);
    if (!st && q->may_skip && !has_lesson(m.train)) {
        log_warn("no train question has an answer that a passage of its documents holds: no "
                 "generator; add some with `raglan ingest`");
        material_clear(&m);
        return OK;
    }
    if (!st) st = rag_need_index(r);
    generator_task_options o = generator_task_defaults();
    o.recompute = q->recompute;
    merge run = {m.old_run, json_object()};
    if (!st) {
        o.batch_size = pick(&run, "batch_size", q->batch_size, q->published ? 32 : o.batch_size);
        o.accumulate = pick(&run, "accumulate", q->accumulate, o.accumulate);
        o.full_answers = pick(&run, "full_answers", q->full_answers, q->published);
        int64_t k = pick(&run, "top_k", q->top_k, q->published ? 50 : 8);
        if (k < o.n_passages) o.n_passages = k;
        if (k < o.early_passages) o.early_passages = k;
        finder f = rag_finder(r);
        if (r->m)
            json_object_set_new(m.hashes, "retriever", json_string(r->m_checkpoint.identifier));
        st = finder_run_all(&f, m.c, m.train, finder_mode(&f), k,
                            "finding passages for train questions", &top);
        if (!st)
            st = finder_run_all(&f, m.c, m.dev, finder_mode(&f), k,
                                "finding passages for dev questions", &dev_top);
    }
    if (!st) st = run_generator(r, q, &m, top, dev_top, &run, &o);
    json_decref(run.run);
    free(top.at);
    free(dev_top.at);
    material_clear(&m);
    rag_forget_models(r);
    return st;
}

/* ---- all ---- */

/* The parts that a `train all` which was stopped was done with: the same command goes on behind
 * them, while in a new one --num_iters means so many more of each. */
static const char mark[] = "train.all";

static status is_done(rag *r, const char *type, bool *done) {
    arena *a = arena_new(0);
    char *parts = NULL;
    status st = store_get(r->s, mark, a, &parts);
    *done = !st && parts && strstr(parts, type);
    arena_free(a);
    return st;
}

/* Is there a finished model of this type for the present tokenizer? *changed: it was trained on
 * other documents or questions than there are now. */
static status is_trained(rag *r, const char *type, const train_request *q, bool *trained,
                         bool *stale, bool *changed) {
    bool done;
    char data[41];
    TRY(store_data_hash(r->s, data));
    TRY(is_done(r, type, &done));
    checkpoint c = {0};
    *trained = *stale = *changed = false;
    TRY(rag_need_tokenizer(r));
    TRY(checkpoint_find(r->home, type, NULL, CHECKPOINT_NEWEST, &c));
    if (c.identifier[0]) {
        const char *of = checkpoint_tokenizer(&c);
        *stale = !rag_knows_tokenizer(r, of);
        *changed = strcmp(json_str(json_object_get(c.meta, "hashes"), "data", data), data) != 0;
        *trained = c.finished && !*stale && !q->new_model && (q->num_iters < 0 || done);
    }
    checkpoint_clear(&c);
    return OK;
}

static status train_part(rag *r, const char *type, const train_request *q, double share,
                         status (*train)(rag *, const train_request *)) {
    bool trained, stale, changed;
    TRY(is_trained(r, type, q, &trained, &stale, &changed));
    if (trained && changed)
        log_info("the %s is trained: kept; the collection has changed since: `raglan train %s "
                 "--num_iters N --save_dir %s` goes on with what is there now",
                 type, type, r->home_word);
    else if (trained)
        log_info("the %s is trained: kept", type);
    if (trained) {
        return OK;
    }
    if (stale) log_info("the %s belongs to another tokenizer: training a new one", type);
    train_request part = *q;
    part.new_model |= stale;
    part.identifier = NULL;
    part.may_skip = true;
    if (!isnan(q->deadline_s)) part.deadline_s = now_s() + share * (q->deadline_s - now_s());
    return train(r, &part);
}

/* Shares of the time that is left: the retriever's, then the generator's (the rest is the index).
 */
static const double retriever_share = 0.3, generator_share = 0.95;

status rag_train_all(rag *r, const train_request *q) {
    train_request all = *q;
    if (!isnan(q->minutes)) all.deadline_s = now_s() + 60 * q->minutes;
    TRY(cut_as_asked(r, &all));
    store_counts n;
    TRY(store_count(r->s, &n));
    if (n.passages < 2)
        log_warn("the collection has %ld passage%s: too few to train a retriever; BM25 alone",
                 (long)n.passages, plural(n.passages));
    else
        TRY(train_part(r, "retriever", &all, retriever_share, rag_train_retriever));
    TRY(store_set(r->s, mark, "retriever"));
    if (n.served[SPLIT_TRAIN] == 0)
        log_warn(
            "the collection has no train questions: no generator; add some with `raglan ingest`");
    else
        TRY(train_part(r, "generator", &all, generator_share, rag_train_generator));
    TRY(store_set(r->s, mark, "retriever generator"));
    TRY(rag_index_all(r));
    return store_set(r->s, mark, NULL);
}
