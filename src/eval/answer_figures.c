/* Figures of a set of answers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/bleu.h"
#include "metric/calibration.h"
#include "metric/ranking.h"
#include "metric/rouge.h"
#include "util/log.h"

/* ---- exact match and F1 ---- */

/* em and f1 [n] of the questions asked, chosen by kind (-1: all) and by whether they have an
 * answer. */
typedef struct scores {
    double *em, *f1;
    int64_t n;
} scores;

enum { ANSWERABLE = 1, UNANSWERABLE = 2 };

static scores scores_of(const eval_input *in, const answered_set *s, const kinds *k, int kind,
                        int which) {
    scores x = {0};
    x.em = xmalloc((size_t)(s->n + 1) * sizeof *x.em);
    x.f1 = xmalloc((size_t)(s->n + 1) * sizeof *x.f1);
    for (int64_t i = 0; i < s->n; i++) {
        int is = in->questions->at[i].unanswerable ? UNANSWERABLE : ANSWERABLE;
        if (!s->at[i].asked || !(is & which) || (kind >= 0 && k->of[i] != kind)) continue;
        x.em[x.n] = s->at[i].em;
        x.f1[x.n++] = s->at[i].f1;
    }
    return x;
}

static void scores_clear(scores *x) {
    free(x->em);
    free(x->f1);
}

static json_t *scores_json(const scores *x) {
    return json_pack("{s:I, s:f, s:f}", "questions", (json_int_t)x->n, "em",
                     100 * mean_of(x->em, x->n), "f1", 100 * mean_of(x->f1, x->n));
}

static json_t *by_kind_json(const eval_input *in, const answered_set *s, const kinds *k) {
    json_t *by = json_object();
    for (int i = 0; i < k->n; i++) {
        scores x = scores_of(in, s, k, i, ANSWERABLE | UNANSWERABLE);
        if (x.n) json_object_set_new(by, k->name[i], scores_json(&x));
        scores_clear(&x);
    }
    return by;
}

/* ---- words ---- */

/* What an answer is compared with: its answers, or its sentence where the generator learned
 * sentences. */
static const char *const *references(const eval_input *in, const qa *x, int64_t *n) {
    if (in->full_answers && *x->full_answer) {
        *n = 1;
        return &x->full_answer;
    }
    *n = x->n_answers;
    return (const char *const *)x->answers;
}

static json_t *bleu_json(const bleu_stats *s, int64_t n_refs) {
    bleu_score b = bleu_of(s, true);
    buf signature = {0};
    bleu_signature(n_refs < 0 ? 0 : n_refs, true, &signature);
    char *text =
        n_refs < 0 ? xasprintf("nrefs:var%s", strchr(signature.at, '|')) : xstrdup(signature.at);
    json_t *j = json_pack("{s:f, s:f, s:f, s:s}", "score", b.score, "bleu1",
                          b.brevity_penalty * b.precisions[0], "brevity_penalty", b.brevity_penalty,
                          "signature", text);
    free(text);
    buf_clear(&signature);
    return j;
}

/* Adds "bleu" (of the corpus) and "rouge" (mean F of the best reference) over answerable questions.
 */
static void add_words(const eval_input *in, const answered_set *s, json_t *out) {
    bleu_stats bleu = {0};
    double rouge[ROUGE_TYPES] = {0};
    int64_t n = 0, n_refs = 0, n_one; /* n_refs -1: not the same number everywhere */
    for (int64_t i = 0; i < s->n; i++) {
        const qa *x = &in->questions->at[i];
        if (!s->at[i].asked || x->unanswerable) continue;
        rouge_score one[ROUGE_TYPES];
        const char *const *refs = references(in, x, &n_one);
        bleu_add(&bleu, s->at[i].text, refs, n_one);
        rouge_best(refs, n_one, s->at[i].text, false, one);
        for (int t = 0; t < ROUGE_TYPES; t++) rouge[t] += one[t].f;
        n_refs = n == 0 || n_refs == n_one ? n_one : -1;
        n++;
    }
    if (!n) return;
    json_t *r = json_object();
    for (int t = 0; t <= ROUGE_L; t++)
        json_object_set_new(r, rouge_names[t], json_real(rouge[t] / (double)n));
    json_object_set_new(r, "stem", json_false());
    json_object_set_new(out, "bleu", bleu_json(&bleu, n_refs));
    json_object_set_new(out, "rouge", r);
}

/* ---- knowing what is not there ---- */

/* Confidence of each answer, and whether it was right: the empty answer is right where the
 * documents hold none. */
typedef struct sureness {
    double *confidence, *filled; /* [n]; filled: 1 - probability of the empty answer */
    bool *right, *answerable;
    int64_t n, n_answerable;
} sureness;

static sureness sureness_of(const eval_input *in, const answered_set *s) {
    size_t room = (size_t)s->n + 1;
    sureness x = {.confidence = xcalloc(room, sizeof(double)),
                  .filled = xcalloc(room, sizeof(double)),
                  .right = xcalloc(room, sizeof(bool)),
                  .answerable = xcalloc(room, sizeof(bool))};
    for (int64_t i = 0; i < s->n; i++) {
        if (!s->at[i].asked) continue;
        x.confidence[x.n] = s->at[i].confidence;
        x.filled[x.n] = 1 - s->at[i].empty;
        x.right[x.n] = s->at[i].em > 0;
        x.answerable[x.n] = !in->questions->at[i].unanswerable;
        x.n_answerable += x.answerable[x.n++];
    }
    return x;
}

/* auroc: does the probability of the empty answer tell unanswerable questions from others?
 * coverage_at_90 and ece: does the confidence of an answer tell whether it is right? */
static json_t *no_answer_json(const eval_input *in, const answered_set *s) {
    sureness x = sureness_of(in, s);
    scores has = scores_of(in, s, NULL, -1, ANSWERABLE),
           none = scores_of(in, s, NULL, -1, UNANSWERABLE);
    json_t *j = json_object();
    if (has.n) json_object_set_new(j, "HasAns_exact", json_real(100 * mean_of(has.em, has.n)));
    if (none.n) json_object_set_new(j, "NoAns_exact", json_real(100 * mean_of(none.em, none.n)));
    if (has.n && none.n)
        json_object_set_new(j, "auroc", json_real(calibration_auroc(x.filled, x.answerable, x.n)));
    else if (has.n)
        log_warn("no unanswerable question among these: no_answer has no NoAns_exact and no auroc");
    json_object_set_new(j, "coverage_at_90",
                        json_real(calibration_coverage(x.confidence, x.right, x.n, .9)));
    json_object_set_new(j, "ece", json_real(calibration_ece(x.confidence, x.right, x.n, 10)));
    scores_clear(&has);
    scores_clear(&none);
    free(x.confidence);
    free(x.filled);
    free(x.right);
    free(x.answerable);
    return j;
}

/* ---- sources ---- */

/* precision: of the answers given, those whose first source is relevant. recall: of the questions
 * with a relevant passage somewhere, those whose answer names one first. */
static json_t *citation_json(const eval_input *in, const judgements *j, const answered_set *s) {
    int64_t given = 0, judged = 0, right = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const answered *a = &s->at[i];
        bool is_judged = j->counts[i] && !in->questions->at[i].unanswerable;
        if (!a->asked || (!is_judged && !in->questions->at[i].unanswerable)) continue;
        given += *a->text != 0;
        judged += is_judged;
        right += is_judged && *a->text && a->cited >= 0 &&
                 judgement_of(j, i, eval_unit_of(j->u, a->cited)) > 0;
    }
    json_t *out = json_object();
    if (given) json_object_set_new(out, "precision", json_real((double)right / (double)given));
    if (judged) json_object_set_new(out, "recall", json_real((double)right / (double)judged));
    return out;
}

/* ---- time ---- */

typedef struct stages {
    timings all, embedding, searching, generating;
} stages;

/* One question from its text to its answer, alone. */
static status time_one(const eval_input *in, int64_t q, hit *hits, arena *a, stages *t) {
    double embed_s, search_s;
    int64_t n = 0, *passages = ARENA_ARRAY(a, int64_t, in->top_k + 1), n_passages = 0;
    TRY(find_timed(in, in->questions->at[q].question, in->mode, in->top_k, hits, &n, &embed_s,
                   &search_s));
    double start = now_s();
    for (int64_t i = 0; i < n; i++) {
        int64_t p = corpus_find(in->c, hits[i].id);
        if (p >= 0) passages[n_passages++] = p;
    }
    reader_question x = reader_question_of(a, in->c, in->questions, q, passages, n_passages);
    generator_decode(in->g, a, in->traits, &x, 1, &(decode_options){.n_beams = 1, .be = in->be});
    double generate_s = now_s() - start;
    timings_add(&t->all, embed_s + search_s + generate_s);
    timings_add(&t->embedding, embed_s);
    timings_add(&t->searching, search_s);
    timings_add(&t->generating, generate_s);
    return OK;
}

static json_t *stages_json(stages *t, bool embeds) {
    json_int_t n = t->all.n;
    json_t *j = timings_json(&t->all), *embed = timings_json(&t->embedding);
    json_object_set_new(j, "questions", json_integer(n));
    if (embeds) json_object_set(j, "embed", embed);
    json_decref(embed);
    json_object_set_new(j, "search", timings_json(&t->searching));
    json_object_set_new(j, "generate", timings_json(&t->generating));
    return j;
}

static status latency(const eval_input *in, const answered_set *s, json_t **out) {
    stages t = {0};
    hit *hits = xmalloc((size_t)in->top_k * sizeof *hits);
    arena *a = arena_new(0);
    int64_t n = 0, asked = 0;
    for (int64_t i = 0; i < s->n; i++) asked += s->at[i].asked;
    status st = OK;
    for (int64_t i = 0; i < s->n && !st; i++) {
        if (!s->at[i].asked || !is_sampled(n++, EVAL_TIMED_ANSWERS, asked)) continue;
        st = time_one(in, i, hits, a, &t);
        arena_reset(a, 0);
        if (!st) st = stopped("timing answers");
    }
    json_t *j = stages_json(&t, in->mode != SEARCH_BM25);
    free(hits);
    arena_free(a);
    if (st)
        json_decref(j);
    else
        *out = j;
    return st;
}

/* ---- together ---- */

static json_t *oracle_json(const eval_input *in, const answered_set *oracle) {
    scores x = scores_of(in, oracle, NULL, -1, ANSWERABLE);
    json_t *j = scores_json(&x);
    scores_clear(&x);
    return j;
}

status eval_answers(const eval_input *in, const judgements *j, const answered_set *s,
                    const answered_set *oracle, json_t **out) {
    json_t *time = NULL;
    int64_t asked = 0;
    for (int64_t i = 0; i < s->n; i++) asked += s->at[i].asked;
    if (!asked)
        FAIL(ERR_STATE, "%lld question%s, none with an answer to compare with", (long long)s->n,
             plural(s->n));
    if (asked < s->n)
        log_warn("left out of answers: %lld question%s without an answer to compare with",
                 (long long)(s->n - asked), plural(s->n - asked));
    TRY(latency(in, s, &time));
    kinds k = kinds_of(in->questions);
    scores x = scores_of(in, s, NULL, -1, ANSWERABLE);
    json_t *part =
        json_pack("{s:I, s:I}", "questions", (json_int_t)asked, "answerable", (json_int_t)x.n);
    if (x.n) {
        json_object_set_new(part, "em", json_real(100 * mean_of(x.em, x.n)));
        json_object_set_new(part, "f1", json_real(100 * mean_of(x.f1, x.n)));
        json_object_set_new(part, "ci95",
                            json_pack("{s:o, s:o}", "em", interval_json(x.em, x.n, 100, in->seed),
                                      "f1", interval_json(x.f1, x.n, 100, in->seed)));
    }
    add_words(in, s, part);
    if (k.n) json_object_set_new(part, "by_kind", by_kind_json(in, s, &k));
    json_object_set_new(part, "no_answer", no_answer_json(in, s));
    json_object_set_new(part, "citation", citation_json(in, j, s));
    if (oracle) json_object_set_new(part, "oracle_passage", oracle_json(in, oracle));
    json_object_set_new(part, "latency_ms", time);
    scores_clear(&x);
    kinds_clear(&k);
    *out = part;
    return OK;
}
