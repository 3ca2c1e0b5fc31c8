/* Answers to all questions of a set, as `ask` gives them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/answer.h"
#include "util/log.h"

enum { PLACES = 16 }; /* questions answered side by side */

static bool can_be_scored(const qa *x) {
    return x->unanswerable || x->n_answers > 0;
}

static answer_score score_of(const qa *x, const char *text) {
    if (x->unanswerable) return answer_best_squad2(text, NULL, 0);
    return answer_best(ANSWER_SQUAD, text, (const char *const *)x->answers, x->n_answers);
}

/* The passage that the answer is credited to: the one `ask` names first. */
static int64_t cited(const decoded *d, const int64_t *passages) {
    int64_t best = -1;
    for (int64_t i = 0; i < d->n_passages; i++)
        if (best < 0 || d->passage_share[i] > d->passage_share[best]) best = i;
    return best < 0 ? -1 : passages[best];
}

static void keep(const eval_input *in, arena *a, int64_t q, const decoded *d,
                 const int64_t *passages, answered *out) {
    buf text = {0};
    tokenizer_decode(in->t, d->ids, d->n, &text);
    out->text = arena_strdup(a, text.at ? text.at : "");
    buf_clear(&text);
    out->confidence = exp(d->log_prob);
    out->empty = exp(d->empty_log_prob);
    out->cited = cited(d, passages);
    answer_score s = score_of(&in->questions->at[q], out->text);
    out->em = s.em;
    out->f1 = s.f1;
}

/* Those that are being answered: as soon as one ends, the next takes its place. */
typedef struct desk {
    arena *a[PLACES]; /* of a place's question and its answer */
    decoded result[PLACES];
    int64_t question[PLACES]; /* -1: the place is free */
} desk;

/* Gives question q of the set a place. */
static void admit(const eval_input *in, decoding *d, desk *k, const top_passages *top, int64_t q) {
    int place = 0;
    while (k->question[place] >= 0) place++;
    const int64_t *passages = top->at + q * top->k;
    int64_t n_passages = 0;
    while (n_passages < top->k && passages[n_passages] >= 0) n_passages++;
    arena_reset(k->a[place], 0);
    reader_question x =
        reader_question_of(k->a[place], in->c, in->questions, q, passages, n_passages);
    decode_options greedy = {.n_beams = 1, .may_place = in->g->c.spans}; /* as `ask` answers */
    decoded *to = &k->result[place];
    decoding_admit(d, k->a[place], &x, 1, &greedy, &to);
    k->question[place] = q;
}

/* Answers that are there are taken down; returns how many. */
static int64_t collect(const eval_input *in, desk *k, const top_passages *top, answered_set *out) {
    int64_t n = 0;
    for (int i = 0; i < PLACES; i++) {
        int64_t q = k->question[i];
        if (q < 0 || !k->result[i].is_done) continue;
        keep(in, out->a, q, &k->result[i], top->at + q * top->k, &out->at[q]);
        k->question[i] = -1;
        n++;
    }
    return n;
}

static status answer_all(const eval_input *in, const top_passages *top, const char *label,
                         answered_set *out) {
    int64_t *list = xmalloc((size_t)(out->n + 1) * sizeof *list), n = 0;
    for (int64_t i = 0; i < out->n; i++)
        if (out->at[i].asked) list[n++] = i;
    desk k;
    for (int i = 0; i < PLACES; i++) {
        k.a[i] = arena_new(0);
        k.question[i] = -1;
    }
    decoding *d = decoding_new(in->g, in->traits, in->be, PLACES, 1);
    progress bar;
    progress_begin(&bar, label, "questions", n);
    status st = OK;
    for (int64_t next = 0, done = 0; done < n && !st;) {
        for (; next < n && decoding_room(d) > 0; next++) admit(in, d, &k, top, list[next]);
        decoding_step(d);
        done += collect(in, &k, top, out);
        progress_update(&bar, done);
        st = stopped(label);
    }
    progress_end(&bar);
    decoding_free(d);
    for (int i = 0; i < PLACES; i++) arena_free(k.a[i]);
    free(list);
    return st;
}

/* The first relevant passage of each question, alone; -1: there is none. */
static top_passages gold_passages(const qa_set *set) {
    top_passages top = {xmalloc((size_t)(set->n + 1) * sizeof(int64_t)), 1};
    for (int64_t i = 0; i < set->n; i++) {
        span s = set->at[i].relevant;
        top.at[i] = s.end > s.begin ? set->relevant[s.begin] : -1;
    }
    return top;
}

status eval_answer(const eval_input *in, bool oracle, answered_set *out) {
    const qa_set *set = in->questions;
    top_passages top = {0};
    if (oracle)
        top = gold_passages(set);
    else
        TRY(finder_run_all(&in->find, in->c, set, in->mode, in->top_k, "finding passages", &top));
    answered_set s = {.n = set->n, .a = arena_new(0)};
    s.at = xcalloc((size_t)set->n + 1, sizeof *s.at);
    for (int64_t i = 0; i < s.n; i++) {
        const qa *x = &set->at[i];
        s.at[i].asked =
            oracle ? x->n_answers > 0 && !x->unanswerable && top.at[i] >= 0 : can_be_scored(x);
        s.at[i].text = "";
        s.at[i].cited = -1;
    }
    status st = answer_all(in, &top, oracle ? "answering from gold passages" : "answering", &s);
    free(top.at);
    if (st)
        answered_clear(&s);
    else
        *out = s;
    return st;
}

void answered_clear(answered_set *s) {
    free(s->at);
    arena_free(s->a);
    *s = (answered_set){0};
}

json_t *eval_against(const qa_set *q, const answered_set *s, const answered_set *f32) {
    double same = 0, em = 0, f1 = 0;
    int64_t n = 0, answerable = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (!s->at[i].asked) continue;
        same += !strcmp(s->at[i].text, f32->at[i].text);
        n++;
        if (q->at[i].unanswerable) continue;
        em += s->at[i].em - f32->at[i].em;
        f1 += s->at[i].f1 - f32->at[i].f1;
        answerable++;
    }
    double each = answerable ? 100 / (double)answerable : 0;
    return json_pack("{s:f, s:f, s:f}", "same", n ? same / (double)n : 1, "em", each * em, "f1",
                     each * f1);
}

/* One entry at a time: a million predictions are no reason to build a million JSON values. */
status answered_write(const answered_set *s, const qa_set *q, file_writer *w) {
    bool first = true;
    for (int64_t i = 0; i < s->n; i++) {
        if (!s->at[i].asked) continue;
        json_t *one = json_pack("{s:s}", q->at[i].id, s->at[i].text);
        char *line = json_line(one);
        json_decref(one);
        status st =
            file_writer_printf(w, "%s%.*s", first ? "{" : ",\n ", (int)strlen(line) - 2, line + 1);
        free(line);
        TRY(st);
        first = false;
    }
    return file_writer_printf(w, "%s}\n", first ? "{" : "");
}
