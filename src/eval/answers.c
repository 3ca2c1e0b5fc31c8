/* Answers to all questions of a set, as `ask` gives them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/answer.h"
#include "util/log.h"

enum { BATCH = 16 }; /* questions decoded side by side */

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

/* Questions list[0..n) of the set at once. */
static void answer_batch(const eval_input *in, const top_passages *top, const int64_t *list,
                         int64_t n, arena *scratch, answered_set *out) {
    reader_question q[BATCH];
    for (int64_t i = 0; i < n; i++) {
        const int64_t *passages = top->at + list[i] * top->k;
        int64_t n_passages = 0;
        while (n_passages < top->k && passages[n_passages] >= 0) n_passages++;
        q[i] = reader_question_of(scratch, in->c, in->questions, list[i], passages, n_passages);
    }
    decode_options greedy = {.n_beams = 1, .may_place = in->g->c.spans}; /* as `ask` answers */
    decoded *d = generator_decode(in->g, scratch, in->traits, q, n, &greedy);
    for (int64_t i = 0; i < n; i++)
        keep(in, out->a, list[i], &d[i], top->at + list[i] * top->k, &out->at[list[i]]);
    arena_reset(scratch, 0);
}

static status answer_all(const eval_input *in, const top_passages *top, const char *label,
                         answered_set *out) {
    int64_t *list = xmalloc((size_t)(out->n + 1) * sizeof *list), n = 0;
    for (int64_t i = 0; i < out->n; i++)
        if (out->at[i].asked) list[n++] = i;
    arena *scratch = arena_new(0);
    progress bar;
    progress_begin(&bar, label, "questions", n);
    status st = OK;
    for (int64_t first = 0; first < n && !st; first += BATCH) {
        int64_t m = n - first < BATCH ? n - first : BATCH;
        answer_batch(in, top, list + first, m, scratch, out);
        progress_update(&bar, first + m);
        st = stopped(label);
    }
    progress_end(&bar);
    arena_free(scratch);
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
