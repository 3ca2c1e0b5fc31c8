/* raglan eval: figures of a collection on the questions of a split (docs/evaluation.md). */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/hits.h"
#include "cli/opts.h"
#include "eval/eval.h"
#include "rag/rag_int.h"
#include "util/hash.h"
#include "util/log.h"
#include "util/par.h"

enum { PART_RETRIEVAL, PART_ANSWERS, PART_ALL };

typedef struct eval_options {
    int split, part, mode, precision;
    int64_t limit, top_k, seed;
    const char *run, *qrels, *predictions;
} eval_options;

typedef struct evaluation {
    rag *r;
    const eval_options *o;
    corpus *c;
    qa_set *questions;
    eval_units *units;
    judgements *judged;
    eval_input in;
    const backend *be; /* of the precision */
    /* Opened before the work, so that a path that cannot be written is said at once; the files
     * appear when everything is done. NULL: not asked for. */
    file_writer *run, *qrels, *predictions;
    json_t *report;
} evaluation;

/* ---- opening ---- */

/* Figures of an index that lacks passages would be figures of nothing. */
static status check_index(const evaluation *e) {
    const lexical *words = search_lexical(e->r->index);
    const flat *vectors_of = e->r->m ? search_flat(e->r->index) : NULL;
    store_counts n;
    TRY(store_count(e->r->s, &n));
    int64_t missing = 0;
    for (int64_t i = 0; i < e->c->n; i++)
        missing +=
            !lexical_has(words, e->c->id[i]) || (vectors_of && !flat_row(vectors_of, e->c->id[i]));
    if (n.stale || missing)
        FAIL(ERR_STATE,
             "not indexed yet in %s: %lld document%s and %lld passage%s; run `raglan index "
             "--save_dir %s`",
             e->r->home, (long long)n.stale, plural(n.stale), (long long)missing, plural(missing),
             e->r->home_word);
    return OK;
}

static status load_questions(evaluation *e) {
    store_split split = (store_split)e->o->split;
    TRY(corpus_load(e->r->s, e->r->t, &e->c));
    TRY(check_index(e));
    TRY(qa_set_load(e->r->s, e->c, e->r->t, split, e->o->limit, &e->questions));
    if (e->questions->n == 0)
        FAIL(
            ERR_STATE,
            "%s holds no questions of split %s: add some with `raglan ingest --split %s --save_dir "
            "%s PATH`",
            e->r->home, store_split_name(split), store_split_name(split), e->r->home_word);
    if (e->questions->n_dropped)
        log_warn("left out: %lld answer%s without letter or digit, as any passage would match",
                 (long long)e->questions->n_dropped, plural(e->questions->n_dropped));
    return OK;
}

static status open_judgements(evaluation *e) {
    TRY(eval_units_load(e->r->s, e->c, &e->units));
    const char *path = e->o->qrels;
    if (path && file_exists(path)) {
        TRY(judgements_read(path, e->units, e->questions, &e->judged));
        log_info("relevant is what %s says", path);
        return OK;
    }
    e->judged = judgements_of(e->units, e->questions);
    return path ? file_writer_open(path, &e->qrels) : OK;
}

static status choose_mode(evaluation *e) {
    static const search_mode modes[] = {
        [RAG_BM25] = SEARCH_BM25, [RAG_DENSE] = SEARCH_DENSE, [RAG_HYBRID] = SEARCH_HYBRID};
    const finder *f = &e->in.find;
    e->in.mode = e->o->mode == RAG_AUTO ? finder_mode(f) : modes[e->o->mode];
    if (e->in.mode != SEARCH_BM25 && finder_mode(f) == SEARCH_BM25)
        FAIL(ERR_STATE,
             "%s has no vectors to search by: run `raglan train retriever --save_dir %s`, then "
             "`raglan index --save_dir %s`",
             e->r->home, e->r->home_word, e->r->home_word);
    return OK;
}

/* Without a generator there are no answers: a reason to fail only where answers were asked for. */
static status need_generator(evaluation *e) {
    if (e->o->part == PART_RETRIEVAL) return OK;
    status st = rag_need_generator(e->r);
    bool wanted = e->o->part == PART_ANSWERS || e->o->predictions;
    if (st == ERR_STATE && !wanted) {
        log_warn("no answers: %s", err_msg());
        return OK;
    }
    return st;
}

static status open_all(evaluation *e) {
    rag *r = e->r;
    TRY(rag_need_index(r));
    TRY(need_generator(e));
    TRY(load_questions(e));
    e->in = (eval_input){.t = r->t,
                         .traits = &r->traits,
                         .c = e->c,
                         .questions = e->questions,
                         .find = rag_finder(r),
                         .g = r->g,
                         .be = e->be,
                         .top_k = e->o->top_k,
                         .seed = (uint64_t)e->o->seed};
    e->in.find.passages = finder_passages(e->c);
    if (r->g)
        e->in.full_answers =
            json_flag(json_object_get(r->g_checkpoint.meta, "run"), "full_answers", false);
    TRY(choose_mode(e));
    TRY(open_judgements(e));
    if (e->o->run) TRY(file_writer_open(e->o->run, &e->run));
    return e->o->predictions ? file_writer_open(e->o->predictions, &e->predictions) : OK;
}

static void close_all(evaluation *e) {
    file_writer_abort(e->run);
    file_writer_abort(e->qrels);
    file_writer_abort(e->predictions);
    judgements_free(e->judged);
    eval_units_free(e->units);
    qa_set_free(e->questions);
    corpus_free(e->c);
    json_decref(e->report);
}

/* ---- what was measured, and how ---- */

static json_t *identifier_json(const checkpoint *c, bool is_there) {
    return is_there ? json_string(c->identifier) : json_null();
}

/* The search files by their names, which are hashes of their contents. */
static void index_hash(const manifest *m, char hex[41]) {
    sha1 *h = sha1_new();
    for (int i = 0; i < m->n_lexical; i++)
        sha1_add(h, m->lexical[i].file, strlen(m->lexical[i].file));
    for (int i = 0; i < m->n_vectors; i++)
        sha1_add(h, m->vectors[i].file, strlen(m->vectors[i].file));
    sha1_add(h, m->deleted, (size_t)m->n_deleted * sizeof *m->deleted);
    sha1_end(h, hex);
}

static status hashes_json(const evaluation *e, json_t **out) {
    char data[41], questions[41], index[41];
    TRY(store_data_hash(e->r->s, data));
    TRY(store_questions_hash(e->r->s, (store_split)e->o->split, questions));
    index_hash(search_manifest(e->r->index), index);
    *out = json_pack("{s:s, s:s, s:s, s:o, s:n, s:o, s:s}", "data", data, "questions", questions,
                     "tokenizer", tokenizer_hash(e->r->t), "retriever",
                     identifier_json(&e->r->m_checkpoint, e->in.find.m), "reranker", "generator",
                     identifier_json(&e->r->g_checkpoint, e->r->g), "index", index);
    return OK;
}

static json_t *fusion_json(const manifest *m) {
    return json_pack("{s:s, s:f, s:f, s:i, s:f, s:b}", "mode", fusion_mode_name(m->fuse.mode),
                     "lambda", m->fuse.lambda, "share", m->fuse.share, "reach", m->fuse.reach,
                     "near", m->fuse.near, "tuned_on_dev", m->is_tuned);
}

static const char *mode_word(search_mode mode) {
    return mode == SEARCH_BM25 ? "bm25" : mode == SEARCH_DENSE ? "dense" : "hybrid";
}

static status settings_json(const evaluation *e, json_t **out) {
    json_t *cut = NULL;
    const char *line = store_cut(e->r->s);
    TRY(json_parse(line, strlen(line), "the collection's cut", &cut));
    json_t *s = json_pack("{s:s, s:I, s:I, s:I}", "mode", mode_word(e->in.mode), "top_k",
                          (json_int_t)e->o->top_k, "limit", (json_int_t)e->o->limit, "depth",
                          (json_int_t)EVAL_DEPTH);
    json_object_set_new(s, "context_size", json_integer(json_int(cut, "context_size", 0)));
    json_object_set_new(s, "context_overlap", json_integer(json_int(cut, "overlap", 0)));
    json_object_set_new(s, "ranked", json_string(e->units->documents ? "documents" : "passages"));
    json_object_set_new(s, "relevant", json_string(e->judged->from_file ? "qrels" : "has_answer"));
    json_object_set_new(s, "bm25",
                        json_pack("{s:f, s:f, s:s}", "k1", bm25_default.k1, "b", bm25_default.b,
                                  "language", lexical_language(search_lexical(e->r->index))));
    json_object_set_new(s, "fusion", fusion_json(search_manifest(e->r->index)));
    json_object_set_new(s, "decoding",
                        json_pack("{s:i, s:f, s:I}", "beams", 1, "temperature", 0.0, "max_tokens",
                                  (json_int_t)(e->r->g ? e->r->g->c.limits.answer : 0)));
    json_object_set_new(s, "normalise", json_string("squad"));
    json_object_set_new(s, "references",
                        json_string(e->in.full_answers ? "full_answer" : "answers"));
    json_object_set_new(s, "interval", json_string("percentile bootstrap, 1000 resamples, 95%"));
    json_object_set_new(s, "kernels", json_string(e->be->name));
    json_object_set_new(s, "precision", json_string(precision_name((precision)e->o->precision)));
    json_object_set_new(s, "version", json_string(RAGLAN_VERSION));
    json_decref(cut);
    *out = s;
    return OK;
}

static status begin_report(evaluation *e) {
    json_t *hashes = NULL, *settings = NULL;
    TRY(hashes_json(e, &hashes));
    status st = settings_json(e, &settings);
    if (st) {
        json_decref(hashes);
        return st;
    }
    e->report = json_pack(
        "{s:I, s:I, s:I, s:s, s:I, s:i, s:o, s:o}", "questions", (json_int_t)e->questions->n,
        "documents", (json_int_t)e->c->n_documents, "passages", (json_int_t)e->c->n, "split",
        store_split_name((store_split)e->o->split), "seed", (json_int_t)e->o->seed, "threads",
        par_threads(), "hashes", hashes, "settings", settings);
    return OK;
}

/* Asked for by name, a precision says what it costs. */
static bool is_approximate(const evaluation *e) {
    return e->o->precision == PRECISION_BF16 || e->o->precision == PRECISION_INT8;
}

/* ---- retrieval ---- */

static status retrieval_of(evaluation *e, search_mode mode, ranked *r, const ranked *bm25_ranked,
                           json_t *into) {
    json_t *figures = NULL;
    TRY(eval_rank(&e->in, e->units, mode, r));
    TRY(eval_retrieval(&e->in, e->judged, mode, r, bm25_ranked, &figures));
    json_object_set_new(into, mode_word(mode), figures);
    if (e->run && mode == e->in.mode)
        return ranked_write(r, e->units, e->questions, "raglan", e->run);
    return OK;
}

static int64_t n_judged(const evaluation *e) {
    int64_t n = 0;
    for (int64_t i = 0; i < e->questions->n; i++) n += e->judged->counts[i];
    return n;
}

/* Nothing is known to be relevant: there are no figures, but rankings all the same. */
static status without_judgements(evaluation *e) {
    if (!e->run && e->o->part == PART_RETRIEVAL)
        FAIL(ERR_STATE, "none of these questions says what answers it: no passage is relevant; "
                        "give judgements by --qrels");
    log_warn("no retrieval: none of these questions says what answers it");
    if (!e->run) return OK;
    ranked r = {0};
    TRY(eval_rank(&e->in, e->units, e->in.mode, &r));
    status st = ranked_write(&r, e->units, e->questions, "raglan", e->run);
    ranked_clear(&r);
    return st;
}

static void say_what_lacks(const evaluation *e, bool has_vectors) {
    if (!has_vectors)
        log_warn("no figures of dense and hybrid: there are no vectors of a trained retriever; run "
                 "`raglan train retriever --save_dir %s`, then `raglan index --save_dir %s`",
                 e->r->home_word, e->r->home_word);
    if (e->questions->n_without && !e->judged->from_file)
        log_warn("counted as missed: %lld question%s whose answer is in no single passage",
                 (long long)e->questions->n_without, plural(e->questions->n_without));
}

static status run_retrieval(evaluation *e) {
    if (n_judged(e) == 0) return without_judgements(e);
    bool has_vectors = finder_mode(&e->in.find) == SEARCH_HYBRID;
    say_what_lacks(e, has_vectors);
    json_t *part = json_object();
    ranked bm25_ranked = {0}, other = {0};
    status st = retrieval_of(e, SEARCH_BM25, &bm25_ranked, NULL, part);
    for (int m = SEARCH_DENSE; m <= SEARCH_HYBRID && has_vectors && !st; m++) {
        st = retrieval_of(e, (search_mode)m, &other, &bm25_ranked, part);
        ranked_clear(&other);
    }
    ranked_clear(&bm25_ranked);
    json_object_set_new(e->report, "retrieval", part);
    if (!st && has_vectors && is_approximate(e)) {
        json_t *cost = NULL;
        st = eval_vectors_against(&e->in, &cost);
        if (!st) json_object_set_new(e->report, "vectors_against_f32", cost);
    }
    return st;
}

/* ---- answers ---- */

/* What the precision that was asked for costs: the same questions once more, in f32. */
static status add_cost(evaluation *e, const answered_set *said, json_t *part) {
    if (!is_approximate(e)) return OK;
    eval_input in = e->in;
    answered_set f32 = {0};
    TRY(backend_precise(PRECISION_F32, &in.be));
    TRY(eval_answer(&in, false, &f32));
    json_object_set_new(part, "against_f32", eval_against(e->questions, said, &f32));
    answered_clear(&f32);
    return OK;
}

static status run_answers(evaluation *e) {
    if (!e->r->g) return OK;
    answered_set said = {0}, oracle = {0};
    json_t *part = NULL;
    status st = eval_answer(&e->in, false, &said);
    if (!st) st = eval_answer(&e->in, true, &oracle);
    if (!st) st = eval_answers(&e->in, e->judged, &said, &oracle, &part);
    if (!st) st = add_cost(e, &said, part);
    if (!st && e->predictions) st = answered_write(&said, e->questions, e->predictions);
    if (part) json_object_set_new(e->report, "answers", part);
    if (st == ERR_STATE && e->o->part == PART_ALL && !e->predictions) {
        log_warn("no answers: %s", err_msg());
        st = OK;
    }
    answered_clear(&said);
    answered_clear(&oracle);
    return st;
}

/* ---- the command ---- */

static status commit(file_writer **w) {
    file_writer *done = *w;
    *w = NULL; /* commit frees it, whatever comes of it */
    return done ? file_writer_commit(done, NULL) : OK;
}

static status run(evaluation *e) {
    TRY(backend_precise((precision)e->o->precision, &e->be));
    TRY(open_all(e));
    TRY(begin_report(e));
    if (e->r->m) embed_precisely(e->r->m, e->be);
    if (e->o->part != PART_ANSWERS) TRY(run_retrieval(e));
    if (e->o->part != PART_RETRIEVAL) TRY(run_answers(e));
    if (e->qrels) TRY(judgements_write(e->judged, e->questions, e->qrels));
    TRY(commit(&e->run));
    TRY(commit(&e->qrels));
    return commit(&e->predictions);
}

static void print(const json_t *report, bool as_json) {
    buf table = {0};
    char *line = as_json ? json_line(report) : NULL;
    if (!as_json) eval_table(report, &table);
    printf("%s%s", as_json ? line : table.at, as_json ? "\n" : "");
    free(line);
    buf_clear(&table);
}

int cmd_eval(int argc, char **argv) {
    eval_options eo = {0};
    const char *retriever_id = NULL, *generator_id = NULL;
    /* clang-format off */
    opt table[] = {
        {"split", OPT_CHOICE, &eo.split, "test", 0, 0, "train|dev|test", "questions to use", false},
        {"part", OPT_CHOICE, &eo.part, "all", 0, 0, "retrieval|answers|all", "what to measure", false},
        {"limit", OPT_INT, &eo.limit, "0", 0, 1e12, "N", "the first N questions; 0: all", false},
        {"mode", OPT_CHOICE, &eo.mode, "auto", 0, 0, MODE_CHOICES,
         "how passages are found for answers and for --run; auto is hybrid where there are vectors, else bm25", false},
        {"top_k", OPT_INT, &eo.top_k, "4", 1, 1000, "K", "passages the generator reads", false},
        {"precision", OPT_CHOICE, &eo.precision, "auto", 0, 0, PRECISION_CHOICES,
         "what the models multiply in; bf16 and int8 also print what they cost against f32", false},
        {"retriever_identifier", OPT_TEXT, &retriever_id, NULL, 0, 0, "SHA1",
         "retriever to use; default: the best on dev", false},
        {"identifier", OPT_TEXT, &generator_id, NULL, 0, 0, "SHA1",
         "generator to use; default: the best on dev", false},
        {.help = "files, for the field's own scorers"},
        {"run", OPT_TEXT, &eo.run, NULL, 0, 0, "FILE", "write the ranking as a TREC run", false},
        {"qrels", OPT_TEXT, &eo.qrels, NULL, 0, 0, "FILE",
         "TREC judgements: read where FILE is there, and they decide; else written", false},
        {"predictions", OPT_TEXT, &eo.predictions, NULL, 0, 0, "FILE",
         "write the answers as SQuAD predictions", false},
    };
    /* clang-format on */
    opts o = {
        .command = "eval",
        .about =
            "Measures retrieval (BM25, dense, hybrid) and answers on the questions of a split.\n\n"
            "A passage is relevant when it is of the question's own documents (of any, where it "
            "names none) and holds an answer. Unanswerable questions are left out of retrieval, "
            "em and f1; a two-hop question is a hit when the passage of its last hop is found. "
            "success@k: a relevant passage is among the first k; recall@k: the share of all "
            "relevant ones. In run and qrels files a passage is DOCUMENT:BEGIN-END.\n\n"
            "  raglan score trec -c -M 10 -m recip_rank QRELS RUN    gives mrr@10",
        .shared = OPTS_HOME | OPTS_THREADS | OPTS_SEED | OPTS_GPU | OPTS_JSON,
        OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    if (eo.part == PART_RETRIEVAL && eo.predictions)
        return opts_wrong(&o, "--predictions wants answers, --part retrieval has none");
    if (eo.part == PART_ANSWERS && eo.run)
        return opts_wrong(&o, "--run wants rankings, --part answers has none");
    eo.seed = o.seed;
    evaluation e = {.o = &eo};
    int st = rag_open(o.home, &(rag_options){.retriever = retriever_id, .generator = generator_id},
                      &e.r);
    if (!st) st = run(&e);
    if (!st) print(e.report, o.json);
    close_all(&e);
    rag_close(e.r);
    return cli_exit((status)st);
}
