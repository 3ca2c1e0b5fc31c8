/* raglan score: the field's metrics on files, printed as the official scorers print them. No
 * collection is needed. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/opts.h"
#include "metric/bleu.h"
#include "metric/bootstrap.h"
#include "metric/rouge.h"
#include "metric/squad.h"
#include "metric/trec.h"
#include "metric/triviaqa.h"
#include "util/file.h"
#include "util/log.h"

typedef struct score_options {
    const char *na_prob;
    double na_prob_thresh;
    bool per_query, complete;
    int64_t level, max_ret, seed;
    opt_texts measures;
    bool use_stemmer, effective_order;
} score_options;

/* Files of a scorer: gold first, the predictions last. */
typedef struct score_files {
    char **gold; /* [n_gold] */
    int n_gold;
    const char *predicted;
} score_files;

static void warn_missing(int64_t missing, int64_t total) {
    if (missing)
        log_warn("without prediction, scored 0: %" PRId64 " of %" PRId64 " question%s", missing,
                 total, plural(total));
}

static status score_squad(const score_files *f, const score_options *o, buf *out) {
    (void)o;
    squad_scores s;
    TRY(squad1_score(f->gold[0], f->predicted, &s));
    warn_missing(s.missing, s.all.total);
    squad1_print(&s, out);
    return OK;
}

static status score_squad2(const score_files *f, const score_options *o, buf *out) {
    squad_scores s;
    TRY(squad2_score(f->gold[0], f->predicted, o->na_prob, o->na_prob_thresh, &s));
    warn_missing(s.missing, s.all.total);
    squad2_print(&s, out);
    return OK;
}

static status score_triviaqa(const score_files *f, const score_options *o, buf *out) {
    (void)o;
    triviaqa_scores s;
    TRY(triviaqa_score(f->gold[0], f->predicted, &s));
    warn_missing(s.denominator - s.common, s.denominator);
    triviaqa_print(&s, out);
    return OK;
}

static status score_trec(const score_files *f, const score_options *o, buf *out) {
    trec_options options = {.per_query = o->per_query,
                            .complete = o->complete,
                            .level = (int)o->level,
                            .max_ret = o->max_ret,
                            .measures = o->measures.at,
                            .n_measures = o->measures.n};
    trec_qrels *qrels = NULL;
    trec_run *run = NULL;
    status st = trec_qrels_read(f->gold[0], &qrels);
    if (!st) st = trec_run_read(f->predicted, &run);
    if (!st) st = trec_evaluate(qrels, run, &options, out);
    trec_qrels_free(qrels);
    trec_run_free(run);
    return st;
}

/* Text files read side by side: line i of each is segment i. */
typedef struct segments {
    reader **readers; /* [n] owned: the references, then the predictions */
    buf *lines;       /* [n] owned */
    int n;
} segments;

static void segments_close(segments *s) {
    for (int i = 0; i < s->n; i++) {
        reader_close(s->readers[i]);
        buf_clear(&s->lines[i]);
    }
    free(s->readers);
    free(s->lines);
}

static status segments_open(const score_files *f, segments *s) {
    s->n = f->n_gold + 1;
    s->readers = xcalloc((size_t)s->n, sizeof *s->readers);
    s->lines = xcalloc((size_t)s->n, sizeof *s->lines);
    for (int i = 0; i < s->n; i++)
        TRY(reader_open(i < f->n_gold ? f->gold[i] : f->predicted, &s->readers[i]));
    return OK;
}

/* The next segment into lines; *more false at the end. Files of different length are refused. */
static status segments_next(segments *s, bool *more) {
    for (int i = 0; i < s->n; i++) {
        bool here;
        TRY(reader_line(s->readers[i], &s->lines[i], &here));
        if (!s->lines[i].at) buf_puts(&s->lines[i], "");
        if (i > 0 && here != *more)
            FAIL(ERR_FORMAT,
                 "%s ends after line %" PRId64 ", %s goes on; wanted one line a segment in both",
                 reader_path(s->readers[here ? 0 : i]),
                 reader_line_number(s->readers[here ? 0 : i]),
                 reader_path(s->readers[here ? i : 0]));
        *more = here;
    }
    return OK;
}

/* What is done with each segment. */
typedef void (*segment_fn)(void *arg, const char *const *references, int64_t n,
                           const char *predicted);

static status for_segments(const score_files *f, segment_fn fn, void *arg) {
    segments s = {0};
    status st = segments_open(f, &s);
    const char **references = xcalloc((size_t)s.n, sizeof *references);
    int64_t n = 0;
    for (bool more = true; !st && !(st = segments_next(&s, &more)) && more; n++) {
        for (int i = 0; i < f->n_gold; i++) references[i] = s.lines[i].at;
        fn(arg, references, f->n_gold, s.lines[f->n_gold].at);
    }
    free(references);
    segments_close(&s);
    if (!st && !n) FAIL(ERR_FORMAT, "%s: no lines found; wanted one segment a line", f->gold[0]);
    return st;
}

static void add_bleu(void *arg, const char *const *references, int64_t n, const char *predicted) {
    bleu_add(arg, predicted, references, n);
}

static status score_bleu(const score_files *f, const score_options *o, buf *out) {
    bleu_stats s = {0};
    TRY(for_segments(f, add_bleu, &s));
    bleu_print(&s, f->n_gold, o->effective_order, out);
    return OK;
}

enum { ROUGE_PRINTED = ROUGE_L + 1 }; /* a line is no text of several sentences: no rougeLsum */

/* Values of all segments: recall, precision, F of each type. */
typedef struct rouge_sums {
    bool stem;
    double *values[ROUGE_PRINTED][3]; /* [n] each, owned */
    int64_t n, cap;
} rouge_sums;

static void add_rouge(void *arg, const char *const *references, int64_t n, const char *predicted) {
    rouge_sums *s = arg;
    rouge_score score[ROUGE_TYPES];
    rouge_best(references, n, predicted, s->stem, score);
    int64_t cap = s->n < s->cap ? s->cap : s->cap ? 2 * s->cap : 1024;
    for (int t = 0; t < ROUGE_PRINTED; t++) {
        double three[] = {score[t].recall, score[t].precision, score[t].f};
        for (int v = 0; v < 3; v++) {
            if (cap > s->cap)
                s->values[t][v] = xrealloc(s->values[t][v], (size_t)cap * sizeof(double));
            s->values[t][v][s->n] = three[v];
        }
    }
    s->cap = cap;
    s->n++;
}

static status score_rouge(const score_files *f, const score_options *o, buf *out) {
    rouge_sums s = {.stem = o->use_stemmer};
    status st = for_segments(f, add_rouge, &s);
    if (!st) {
        log_info("stemmer %s; low and high bound 95%% of 1000 resamples, seed %" PRId64,
                 s.stem ? "on" : "off (papers mostly turn it on: --use_stemmer)", o->seed);
        buf_puts(out, "score_type,low,mid,high\n");
    }
    for (int t = 0; t < ROUGE_PRINTED; t++) {
        for (int v = 0; v < 3; v++) {
            if (!st) {
                interval i = bootstrap_mean(s.values[t][v], s.n, 0.95, 1000, (uint64_t)o->seed);
                buf_printf(out, "%s-%c,%f,%f,%f\n", rouge_names[t], "RPF"[v], i.low, i.middle,
                           i.high);
            }
            free(s.values[t][v]);
        }
    }
    return st;
}

typedef struct scorer {
    const char *name;
    status (*run)(const score_files *f, const score_options *o, buf *out);
    const char *options; /* of the command's table that it knows, in blanks */
    bool many_gold;      /* several references */
} scorer;

static const scorer scorers[] = {
    {"squad", score_squad, "", false},
    {"squad2", score_squad2, " na_prob na_prob_thresh ", false},
    {"triviaqa", score_triviaqa, "", false},
    {"trec", score_trec, " q c l M m ", false},
    {"bleu", score_bleu, " effective_order ", true},
    {"rouge", score_rouge, " use_stemmer ", true},
};
enum { N_SCORERS = sizeof scorers / sizeof *scorers };

static const scorer *find_scorer(const opts *o) {
    const char *names[N_SCORERS];
    for (int i = 0; i < N_SCORERS; i++) {
        names[i] = scorers[i].name;
        if (!strcmp(names[i], o->args[0])) return &scorers[i];
    }
    opts_wrong(o,
               "found '%s', wanted squad, squad2, triviaqa, trec, bleu or rouge; the nearest is %s",
               o->args[0], opts_nearest(o->args[0], names, N_SCORERS));
    return NULL;
}

/* -1, or 2 after a sentence: an option of another scorer, too many files. */
static int check_usage(const opts *o, const scorer *s) {
    for (int i = 0; i < o->n_options; i++) {
        const opt *p = &o->options[i];
        char word[64];
        snprintf(word, sizeof word, " %s ", p->name ? p->name : "");
        if (p->given && !strstr(s->options, word))
            return opts_wrong(o, "option '%s' is not for the %s score", p->name, s->name);
    }
    if (o->n_args > 3 && !s->many_gold)
        return opts_wrong(o, "found one argument too many, '%s', wanted %s GOLD PREDICTED",
                          o->args[3], s->name);
    return -1;
}

/* -1, or 2 after a sentence with the nearest name; parameters are trec_evaluate's to judge. */
static int check_measures(const opts *o, const opt_texts *measures) {
    const char *names[64];
    int n = trec_measure_names(names, 64);
    for (int i = 0; i < measures->n; i++) {
        char name[64];
        bool known = false;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(measures->at[i], "."), measures->at[i]);
        for (int k = 0; k < n && !known; k++) known = !strcmp(name, names[k]);
        if (!known)
            return opts_wrong(o, "-m: found '%s', wanted a measure of trec_eval; the nearest is %s",
                              measures->at[i], opts_nearest(name, names, n));
    }
    return -1;
}

int cmd_score(int argc, char **argv) {
    score_options so = {0};
    /* clang-format off */
    opt table[] = {
        {.help = "squad2"},
        {"na_prob", OPT_TEXT, &so.na_prob, NULL, 0, 0, "FILE",
         "JSON of question id -> probability of no answer; adds best_exact and best_f1", false},
        {"na_prob_thresh", OPT_FLOAT, &so.na_prob_thresh, "1", 0, 0, "P",
         "a probability above it counts as no answer", false},
        {.help = "trec, as trec_eval has them"},
        {"q", OPT_FLAG, &so.per_query, NULL, 0, 0, NULL, "each query before the summary", false},
        {"c", OPT_FLAG, &so.complete, NULL, 0, 0, NULL,
         "judged queries that the run lacks count as 0", false},
        {"l", OPT_INT, &so.level, "1", 0, INT32_MAX, "N", "relevant from this relevance on", false},
        {"M", OPT_INT, &so.max_ret, NULL, 1, INFINITY, "N", "take the first N documents a query", false},
        {"m", OPT_TEXTS, &so.measures, NULL, 0, 0, "MEASURE",
         "name[.parameters], such as map or P.5,10; or official (without -m), set, all_trec", false},
        {.help = "bleu"},
        {"effective_order", OPT_FLAG, &so.effective_order, NULL, 0, 0, NULL,
         "only the n-gram orders that the predictions have", false},
        {.help = "rouge"},
        {"use_stemmer", OPT_FLAG, &so.use_stemmer, NULL, 0, 0, NULL, "Porter's stemmer", false},
    };
    /* clang-format on */
    opts o = {
        .command = "score",
        .arguments = "squad|squad2|triviaqa|trec|bleu|rouge GOLD PREDICTED",
        .about =
            "Scores predictions against gold files as the official scorer of each task does, "
            "and prints what it prints. Files may be gzipped.\n\n"
            "squad, squad2 and triviaqa take the data set's JSON and {\"id\": \"answer\"}; trec "
            "takes judgements and a run; bleu and rouge take text with a segment a line, "
            "several GOLD files are several references.",
        .shared = OPTS_SEED,
        OPTS_TABLE(table),
        .min_args = 3,
        .max_args = -1};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    const scorer *s = find_scorer(&o);
    if (!s) return 2;
    if ((code = check_usage(&o, s)) >= 0) return code;
    if ((code = check_measures(&o, &so.measures)) >= 0) return code;

    so.seed = o.seed;
    score_files files = {o.args + 1, o.n_args - 2, o.args[o.n_args - 1]};
    buf out = {0};
    status st = s->run(&files, &so, &out);
    if (!st) fwrite(out.at, 1, out.len, stdout);
    buf_clear(&out);
    if (st == ERR_ARG) return opts_wrong(&o, "%s", err_msg());
    return cli_exit(st);
}
