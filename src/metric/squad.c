/* SQuAD 1.1 and 2.0 file scores, see squad.h.
 *
 * One pass over the gold file turns each question into a row of three numbers; sums are taken in
 * file order, as the official scripts do, so the last printed digit agrees. */
#include "metric/squad.h"

#include <stdlib.h>
#include <string.h>

#include "metric/answer.h"
#include "metric/gold.h"
#include "metric/pytext.h"

typedef struct row {
    double exact, f1;  /* of the prediction as it stands */
    double na_prob;    /* v2.0 */
    bool has_answer;   /* gold has one */
    bool says_nothing; /* the prediction is the empty string */
    int64_t i_na;      /* place in the na-prob file: breaks ties as Python's stable sort does */
} row;

typedef struct scorer {
    const char *gold_path;
    bool v2;
    json_t *predictions; /* owned */
    json_t *na_probs;    /* owned; NULL without a file */
    json_t *na_places;   /* owned; id -> place in the na-prob file */
    row *rows;           /* owned */
    int64_t n, cap, missing;
} scorer;

/* Gold texts of a question, borrowed from it; caller frees the array. */
static status gold_texts(const json_t *question, const char *what, const char ***out, int64_t *n) {
    const json_t *answers = json_object_get(question, "answers");
    if (!json_is_array(answers)) FAIL(ERR_FORMAT, "%s: question has no list 'answers'", what);
    size_t size = json_array_size(answers);
    const char **texts = xcalloc(size + 1, sizeof *texts);
    for (size_t i = 0; i < size; i++) {
        status st = json_want_str(json_array_get(answers, i), "text", what, &texts[i]);
        if (st) {
            free(texts);
            return st;
        }
    }
    *out = texts;
    *n = (int64_t)size;
    return OK;
}

static status na_prob_of(const scorer *s, const char *id, row *r) {
    if (!s->na_probs) return OK;
    const json_t *p = json_object_get(s->na_probs, id);
    if (!json_is_number(p))
        FAIL(ERR_FORMAT, "%s: the na-prob file has no number for question '%s'", s->gold_path, id);
    r->na_prob = json_number_value(p);
    r->i_na = json_integer_value(json_object_get(s->na_places, id));
    return OK;
}

static status score_question(void *arg, const json_t *question, const char *what) {
    scorer *s = arg;
    const char *id;
    const char **gold = NULL;
    int64_t n_gold = 0;
    TRY(json_want_str(question, "id", what, &id));
    TRY(gold_texts(question, what, &gold, &n_gold));

    row r = {.has_answer = n_gold > 0};
    status st = OK;
    const json_t *prediction = json_object_get(s->predictions, id);
    if (!s->v2 && n_gold == 0) {
        st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                     "%s: question '%s' has no answers; files with unanswerable questions want "
                     "the SQuAD 2.0 score (squad2)",
                     what, id);
    } else if (!prediction) {
        s->missing++;
    } else if (!json_is_string(prediction)) {
        st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                     "prediction for question '%s' is not a string; wanted {\"id\": \"text\"}", id);
    } else {
        const char *text = json_string_value(prediction);
        answer_score best = s->v2 ? answer_best_squad2(text, gold, n_gold)
                                  : answer_best(ANSWER_SQUAD, text, gold, n_gold);
        r.exact = best.em;
        r.f1 = best.f1;
        r.says_nothing = !*text;
        st = na_prob_of(s, id, &r);
    }
    free(gold);
    if (st) return st;
    GROW(s->rows, s->n, s->cap);
    s->rows[s->n++] = r;
    return OK;
}

static status scorer_run(scorer *s, const char *gold, const char *predictions,
                         const char *na_prob) {
    s->gold_path = gold;
    TRY(gold_predictions(predictions, "question id", "\"answer\"", &s->predictions));
    if (na_prob) {
        TRY(gold_predictions(na_prob, "question id", "probability", &s->na_probs));
        s->na_places = json_object();
        const char *id;
        json_t *p;
        json_int_t place = 0;
        json_object_foreach(s->na_probs, id, p)
            json_object_set_new(s->na_places, id, json_integer(place++));
    }
    TRY(gold_each(gold, "data.*.paragraphs.*.qas.*", score_question, s));
    if (!s->n)
        FAIL(ERR_FORMAT, "%s: no questions found; wanted SQuAD's data[].paragraphs[].qas[]", gold);
    return OK;
}

static void scorer_clear(scorer *s) {
    json_decref(s->predictions);
    json_decref(s->na_probs);
    json_decref(s->na_places);
    free(s->rows);
}

/* Mean over the rows that want (0: all, 1: with an answer, -1: without). */
static squad_part part_of(const scorer *s, double threshold, int want) {
    double exact = 0, f1 = 0;
    int64_t total = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const row *r = &s->rows[i];
        if (want && r->has_answer != (want > 0)) continue;
        bool abstains = r->na_prob > threshold;
        exact += abstains ? !r->has_answer : r->exact;
        f1 += abstains ? !r->has_answer : r->f1;
        total++;
    }
    if (!total) return (squad_part){0};
    return (squad_part){100.0 * exact / (double)total, 100.0 * f1 / (double)total, total};
}

static int by_na_prob(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->na_prob != y->na_prob) return x->na_prob < y->na_prob ? -1 : 1;
    return (x->i_na > y->i_na) - (x->i_na < y->i_na);
}

/* The threshold that gives the highest score if every question whose probability is above it is
 * left unanswered. rows lie in order of na_prob. Starts from "answer nothing". */
static void best_threshold(const scorer *s, size_t field, double *best, double *thresh) {
    double score = 0, top;
    for (int64_t i = 0; i < s->n; i++) score += !s->rows[i].has_answer;
    top = score;
    *thresh = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const row *r = &s->rows[i];
        double value = *(const double *)((const char *)r + field);
        score += r->has_answer ? value : r->says_nothing ? 0 : -1;
        if (score > top) {
            top = score;
            *thresh = r->na_prob;
        }
    }
    *best = 100.0 * top / (double)s->n;
}

status squad1_score(const char *gold, const char *predictions, squad_scores *out) {
    scorer s = {0};
    status st = scorer_run(&s, gold, predictions, NULL);
    if (!st) *out = (squad_scores){.all = part_of(&s, 1, 0), .missing = s.missing};
    scorer_clear(&s);
    return st;
}

status squad2_score(const char *gold, const char *predictions, const char *na_prob,
                    double threshold, squad_scores *out) {
    scorer s = {.v2 = true};
    status st = scorer_run(&s, gold, predictions, na_prob);
    if (!st) {
        *out = (squad_scores){.all = part_of(&s, threshold, 0),
                              .has_answer = part_of(&s, threshold, 1),
                              .no_answer = part_of(&s, threshold, -1),
                              .missing = s.missing,
                              .has_best = na_prob != NULL};
        if (na_prob) {
            qsort(s.rows, (size_t)s.n, sizeof *s.rows, by_na_prob);
            best_threshold(&s, offsetof(row, exact), &out->best_exact, &out->best_exact_thresh);
            best_threshold(&s, offsetof(row, f1), &out->best_f1, &out->best_f1_thresh);
        }
    }
    scorer_clear(&s);
    return st;
}

void squad1_print(const squad_scores *s, buf *out) {
    buf_puts(out, "{\"exact_match\": ");
    py_add_number(out, s->all.exact);
    buf_puts(out, ", \"f1\": ");
    py_add_number(out, s->all.f1);
    buf_puts(out, "}\n");
}

static void add_field(buf *out, const char *prefix, const char *name, double value) {
    buf_printf(out, "%s  \"%s%s\": ", out->at[out->len - 1] == '{' ? "\n" : ",\n", prefix, name);
    py_add_number(out, value);
}

static void add_part(buf *out, const char *prefix, const squad_part *p) {
    add_field(out, prefix, "exact", p->exact);
    add_field(out, prefix, "f1", p->f1);
    buf_printf(out, ",\n  \"%stotal\": %lld", prefix, (long long)p->total);
}

void squad2_print(const squad_scores *s, buf *out) {
    buf_puts(out, "{");
    add_part(out, "", &s->all);
    if (s->has_answer.total) add_part(out, "HasAns_", &s->has_answer);
    if (s->no_answer.total) add_part(out, "NoAns_", &s->no_answer);
    if (s->has_best) {
        add_field(out, "", "best_exact", s->best_exact);
        add_field(out, "", "best_exact_thresh", s->best_exact_thresh);
        add_field(out, "", "best_f1", s->best_f1);
        add_field(out, "", "best_f1_thresh", s->best_f1_thresh);
    }
    buf_puts(out, "\n}\n");
}
