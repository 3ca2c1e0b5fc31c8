/* A generator's training step, its judgement on dev and its examples. Which questions a step sees
 * follows from its number alone; everything else is drawn from the rng it is handed. */
#include "train/generator_task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/answer.h"
#include "train/cloze.h"
#include "train/epochs.h"

generator_task_options generator_task_defaults(void) {
    return (generator_task_options){.batch_size = 32,
                                    .accumulate = 1,
                                    .n_passages = READER_PASSAGES,
                                    .early_passages = 1,
                                    .early_share = 0.7f,
                                    .gold_last = 0.7f,
                                    .cloze_first = 0.2f,
                                    .cloze_last = 0,
                                    .empty_share = 0.05f,
                                    .word_dropout = 0.05f,
                                    .place_weight = 0.5f,
                                    .dev_questions = 200};
}

struct generator_task {
    generator *m;
    const token_traits *tr;
    const corpus *c;
    const tokenizer *t;
    const qa_set *train, *dev;
    top_passages train_top, dev_top;
    const lexical *lex; /* NULL: no cloze questions */
    generator_task_options o;
    epochs usable;      /* train questions to learn from */
    int64_t *dev_order; /* [n_dev] dev questions to be judged by, shuffled once */
    int64_t n_dev, n_shown;
    arena *a;      /* of the graph */
    arena *inputs; /* of the step's questions */
    graph *g;
};

enum { PART_ROWS = 8192 };

/* ---- setting up ---- */

static bool has_answer_passage(const qa *q) {
    return q->relevant.end > q->relevant.begin && q->n_answers > 0;
}

static bool has_tokens(const qa *q) {
    return q->tokens.end > q->tokens.begin;
}

/* Those with a right answer, in an order that mixes documents: while training only the first few
 * are asked. */
static void choose_dev(generator_task *k) {
    k->dev_order = xmalloc((size_t)(k->dev->n + 1) * sizeof *k->dev_order);
    for (int64_t i = 0; i < k->dev->n; i++)
        if (k->dev->at[i].n_answers > 0 || k->dev->at[i].unanswerable) k->dev_order[k->n_dev++] = i;
    rng r = rng_new(1);
    rng_shuffle(&r, k->dev_order, k->n_dev);
}

status generator_task_new(generator *m, const token_traits *tr, const corpus *c, const tokenizer *t,
                          const qa_set *train, top_passages train_top, const qa_set *dev,
                          top_passages dev_top, const lexical *lex, const generator_task_options *o,
                          generator_task **out) {
    int64_t n_answered = 0;
    for (int64_t i = 0; i < train->n; i++)
        n_answered += has_answer_passage(&train->at[i]) && has_tokens(&train->at[i]);
    if (n_answered == 0)
        FAIL(ERR_STATE,
             "%ld train question%s, none with an answer that a passage of its documents holds; the "
             "generator learns from such questions: add them with `raglan ingest`",
             (long)train->n, plural(train->n));
    generator_task *k = xcalloc(1, sizeof *k);
    *k = (generator_task){.m = m,
                          .tr = tr,
                          .c = c,
                          .t = t,
                          .train = train,
                          .dev = dev,
                          .train_top = train_top,
                          .dev_top = dev_top,
                          .lex = lex,
                          .o = *o,
                          .usable = epochs_new(train->n, o->seed ^ 0x67656e)};
    for (int64_t i = 0; i < train->n; i++)
        if ((has_answer_passage(&train->at[i]) || train->at[i].unanswerable) &&
            has_tokens(&train->at[i]))
            epochs_add(&k->usable, i);
    choose_dev(k);
    k->a = arena_new(0);
    k->inputs = arena_new(0);
    k->g = graph_new(k->a, NULL, true);
    if (o->recompute) graph_recompute(k->g);
    *out = k;
    return OK;
}

void generator_task_free(generator_task *k) {
    if (!k) return;
    graph_free(k->g);
    arena_free(k->a);
    arena_free(k->inputs);
    epochs_clear(&k->usable);
    free(k->dev_order);
    free(k);
}

/* ---- a step ---- */

/* Where the answer stands in each answering passage, and how it is spelled. */
static void set_target(generator_task *k, int64_t q, const int64_t *passages, reader_question *rq,
                       reader_passage *p) {
    const qa *x = &k->train->at[q];
    bool is_there = false;
    for (int64_t i = 0; i < rq->n_passages; i++) {
        if (!qa_is_relevant(k->train, x, passages[i])) continue;
        is_there = true;
        p[i].answer = corpus_find_answer(k->c, k->t, passages[i], x->answers, x->n_answers);
        if (rq->n_answer == 0 && p[i].answer.end > p[i].answer.begin && !k->o.full_answers) {
            rq->answer = p[i].ids + p[i].answer.begin;
            rq->n_answer = p[i].answer.end - p[i].answer.begin;
        }
    }
    if (!is_there || rq->n_answer > 0) return;
    const char *text = k->o.full_answers && *x->full_answer ? x->full_answer : x->answers[0];
    rq->answer = tokenizer_encode_ids(k->t, text, strlen(text), k->inputs, &rq->n_answer);
}

static int64_t count_top(top_passages t, int64_t q, int64_t most) {
    int64_t n = 0;
    while (n < t.k && n < most && t.at[q * t.k + n] >= 0) n++;
    return n;
}

/* The passages of question q in this step, best first, at most n; returns how many. The best n
 * found, or with `sampled` the first that answers among others by chance: more to learn from in
 * fewer. */
static int64_t choose_passages(generator_task *k, int64_t q, int64_t n, bool sampled, float gold,
                               rng *r, int64_t *out) {
    const qa *x = &k->train->at[q];
    bool empties = !x->unanswerable && rng_uniform(r) < k->o.empty_share, has_gold = false;
    const int64_t *top = k->train_top.at + q * k->train_top.k;
    int64_t n_top = count_top(k->train_top, q, k->train_top.k), n_out = 0, left = 0;
    for (int64_t i = 0; i < n_top; i++) left += !(empties && qa_is_relevant(k->train, x, top[i]));
    for (int64_t i = 0; i < n_top && n_out < n; i++) {
        bool relevant = qa_is_relevant(k->train, x, top[i]);
        if (empties && relevant) continue;
        bool takes = !sampled || (relevant && !has_gold) || rng_below(r, left) < n - n_out;
        left--;
        if (!takes) continue;
        has_gold |= relevant;
        out[n_out++] = top[i];
    }
    bool injects = rng_uniform(r) < gold;
    if (!empties && !has_gold && has_answer_passage(x) && (injects || n_out == 0)) {
        int64_t at = n_out < n ? n_out++ : rng_below(r, n_out);
        out[at] =
            k->train
                ->relevant[x->relevant.begin + rng_below(r, x->relevant.end - x->relevant.begin)];
    }
    return n_out;
}

/* A question without some of its tokens, chosen by chance: what is asked must be understood from the
 * others, as in a wording never seen. */
static void drop_words(generator_task *k, reader_question *q, rng *r) {
    int32_t *ids = ARENA_ARRAY(k->inputs, int32_t, q->n_ids + 1);
    int64_t n = 0;
    for (int64_t i = 0; i < q->n_ids; i++)
        if (rng_uniform(r) >= k->o.word_dropout) ids[n++] = q->ids[i];
    if (n == 0) return;
    q->ids = ids;
    q->n_ids = n;
}

/* Labelled question number i of the run: its passages and its target, in the arena of inputs. */
static reader_question labelled_question(generator_task *k, int64_t i, float done, rng *r) {
    bool is_early = done < k->o.early_share;
    int64_t most = is_early ? k->o.early_passages : k->o.n_passages;
    int64_t q = epochs_at(&k->usable, i), *passages = ARENA_ARRAY(k->inputs, int64_t, most);
    int64_t n = choose_passages(k, q, most, is_early, 1 + (k->o.gold_last - 1) * done, r, passages);
    reader_question rq = reader_question_of(k->inputs, k->c, k->train, q, passages, n);
    set_target(k, q, passages, &rq, (reader_passage *)rq.passages);
    if (k->o.word_dropout > 0) drop_words(k, &rq, r);
    return rq;
}

/* A cloze question now and then in the first half of the run; else a labelled one. */
static status make_question(generator_task *k, int64_t i, float done, rng *r,
                            reader_question *out) {
    float share = k->o.cloze_first + (k->o.cloze_last - k->o.cloze_first) * fminf(2 * done, 1);
    if (k->lex && rng_uniform(r) < share) {
        cloze z = {k->c, k->t, k->lex};
        TRY(cloze_question(&z, k->inputs,
                           done < k->o.early_share ? k->o.early_passages : k->o.n_passages, r,
                           out));
        if (out->n_answer > 0) return OK;
    }
    *out = labelled_question(k, i, done, r);
    return OK;
}

static int64_t rows_of(const reader_question *q) {
    int64_t n = 0;
    for (int64_t i = 0; i < q->n_passages; i++)
        n += q->n_ids + q->passages[i].n_title + q->passages[i].n_ids + 2;
    return n;
}

/* A step in parts of at most a slice and PART_ROWS rows, whose gradients add up: memory does not
 * grow with the batch. A part weighs as many questions as it has. */
static status task_step(void *self, int64_t step, int64_t total, rng *r, step_result *out) {
    generator_task *k = self;
    uint64_t seed = rng_next(r);
    int64_t slice = k->o.batch_size, n = slice * k->o.accumulate;
    float done = total > 0 ? (float)step / (float)total : 0;
    arena_reset(k->inputs, 0);
    reader_question *qs = ARENA_ARRAY(k->inputs, reader_question, n);
    for (int64_t i = 0; i < n; i++) TRY(make_question(k, step * n + i, done, r, &qs[i]));

    for (int64_t i = 0, j; i < n; i = j) {
        int64_t rows = rows_of(&qs[i]);
        for (j = i + 1; j % slice && rows + rows_of(&qs[j]) <= PART_ROWS; j++)
            rows += rows_of(&qs[j]);
        graph_reset(k->g, rng_hash(seed, (uint64_t)i));
        reader_batch b = reader_batch_new(k->a, k->tr, &k->m->c.limits, qs + i, j - i);
        tensor *loss = generator_loss(k->m, k->g, &b, k->o.place_weight, NULL);
        float share = (float)(j - i) / (float)n;
        graph_backward(k->g, loss, share);
        out->loss += share * loss->v[0];
        out->tokens += b.n_rows + b.n_out;
        TRY(train_pulse(out, (double)j / (double)n));
    }
    return OK;
}

/* ---- dev ---- */

static char *text_of(generator_task *k, arena *a, const int32_t *ids, int64_t n) {
    buf text = {0};
    tokenizer_decode(k->t, ids, n, &text);
    char *s = arena_strdup(a, text.at ? text.at : "");
    buf_clear(&text);
    return s;
}

enum { DECODE_BATCH = 16 };

/* An answer to a dev question as `ask` gives it, but for the bias fitted here. */
typedef struct dev_answer {
    char *text, *place; /* place: the best span, whether or not an answer is thought to be there */
    double empty;       /* logit of "not in these documents" */
} dev_answer;

/* Answers dev questions dev_order[first..first+n-1], n <= DECODE_BATCH. */
static void answer_dev(generator_task *k, arena *a, int64_t first, int64_t n, dev_answer *out) {
    reader_question qs[DECODE_BATCH] = {0};
    for (int64_t i = 0; i < n; i++) {
        int64_t q = k->dev_order[first + i];
        qs[i] = reader_question_of(a, k->c, k->dev, q, k->dev_top.at + q * k->dev_top.k,
                                   count_top(k->dev_top, q, k->o.n_passages));
    }
    decoded *d = generator_decode(k->m, a, k->tr, qs, n,
                                  &(decode_options){.n_beams = 1, .may_place = k->m->c.spans});
    for (int64_t i = 0; i < n; i++) {
        out[i].text = text_of(k, a, d[i].ids, d[i].n);
        out[i].place = text_of(k, a, d[i].span_ids, d[i].n_span);
        out[i].empty = decoded_empty_logit(&d[i]);
    }
}

/* What refusing a dev question is worth: 1 where nothing answers it, else what is lost. */
typedef struct refusal {
    double logit, gain;
} refusal;

typedef struct dev_sums {
    double em, f1, empty;
    int64_t n_answerable, n_empty;
    refusal *refusals; /* [n_answerable + n_empty] */
} dev_sums;

static void judge(dev_sums *s, const qa *x, const dev_answer *y) {
    refusal *r = &s->refusals[s->n_answerable + s->n_empty];
    if (x->unanswerable) {
        *r = (refusal){y->empty, 1};
        s->n_empty++;
        s->empty += *y->text == 0;
        return;
    }
    const char *const *answers = (const char *const *)x->answers;
    answer_score best = answer_best(ANSWER_SQUAD, y->text, answers, x->n_answers);
    *r = (refusal){y->empty, -answer_best(ANSWER_SQUAD, y->place, answers, x->n_answers).em};
    s->n_answerable++;
    s->em += best.em;
    s->f1 += best.f1;
}

static int by_logit(const void *x, const void *y) {
    double a = ((const refusal *)x)->logit, b = ((const refusal *)y)->logit;
    return a < b ? 1 : a > b ? -1 : 0;
}

enum { FEW_REFUSALS = 20 }; /* fewer dev questions without an answer fit nothing */

/* The bias on "not in these documents" with which most dev questions end well, in the middle of
 * the gap that it may lie in. */
static double fit_empty_bias(dev_sums *s) {
    int64_t n = s->n_answerable + s->n_empty;
    if (s->n_empty < FEW_REFUSALS) return 0;
    qsort(s->refusals, (size_t)n, sizeof *s->refusals, by_logit);
    double gain = 0, best = 0, bias = -(s->refusals[0].logit + 1);
    for (int64_t i = 0; i < n; i++) {
        gain += s->refusals[i].gain;
        bool ties = i + 1 < n && s->refusals[i + 1].logit == s->refusals[i].logit;
        if (gain <= best || ties) continue;
        best = gain;
        double next = i + 1 < n ? s->refusals[i + 1].logit : s->refusals[i].logit - 2;
        bias = -(s->refusals[i].logit + next) / 2;
    }
    return bias;
}

static double mean(double sum, int64_t n) {
    return n ? sum / (double)n : 0;
}

/* The final figures are those of all dev questions. The score, which is compared with earlier ones,
 * and the bias on "not in these documents", which must not depend on who ran out of time, are
 * always those of the same few. */
static status task_evaluate(void *self, bool final, dev_result *out) {
    generator_task *k = self;
    int64_t few = k->n_dev < k->o.dev_questions ? k->n_dev : k->o.dev_questions,
            n = final ? k->n_dev : few;
    arena *a = arena_new(0);
    double bias = 0;
    dev_sums s = {.refusals = xmalloc((size_t)(n + 1) * sizeof *s.refusals)};
    for (int64_t first = 0, m; first < n; first += m) {
        dev_answer answers[DECODE_BATCH];
        int64_t end = first < few ? few : n;
        m = end - first < DECODE_BATCH ? end - first : DECODE_BATCH;
        answer_dev(k, a, first, m, answers);
        for (int64_t i = 0; i < m; i++)
            judge(&s, &k->dev->at[k->dev_order[first + i]], &answers[i]);
        if (first + m == few) {
            out->score = mean(s.em + s.f1, 2 * s.n_answerable);
            bias = fit_empty_bias(&s);
        }
        arena_reset(a, 0);
    }
    arena_free(a);
    out->figures = json_pack("{s:f, s:f}", "em", 100 * mean(s.em, s.n_answerable), "f1",
                             100 * mean(s.f1, s.n_answerable));
    if (s.n_empty)
        json_object_set_new(out->figures, "no_answer", json_real(100 * mean(s.empty, s.n_empty)));
    if (k->m->c.spans) json_object_set_new(out->figures, "empty_bias", json_real(bias));
    free(s.refusals);
    return OK;
}

/* One dev question after the other, each time the next: the answer beside the right one. */
static status task_show(void *self, int64_t step, buf *text, json_t **example) {
    generator_task *k = self;
    arena *a = arena_new(0);
    (void)step;
    int64_t at = k->n_shown++ % k->n_dev;
    dev_answer y;
    answer_dev(k, a, at, 1, &y);
    const qa *x = &k->dev->at[k->dev_order[at]];
    const char *gold = x->unanswerable ? "" : x->n_answers ? x->answers[0] : "";
    buf_printf(text, "question: %s\nanswer:   %s\nwanted:   %s\n", x->question,
               *y.text ? y.text : "(not in these documents)",
               *gold ? gold : "(not in these documents)");
    *example =
        json_pack("{s:s, s:s, s:s}", "question", x->question, "answer", y.text, "gold", gold);
    arena_free(a);
    return OK;
}

void generator_task_trainee(generator_task *k, trainee *out) {
    out->type = "generator";
    out->self = k;
    out->p = k->m->p;
    out->step = task_step;
    out->evaluate = k->n_dev ? task_evaluate : NULL;
    out->show = k->n_dev ? task_show : NULL;
}
