/* TriviaQA file scores, see triviaqa.h. The fields that say how Data is to be read (Domain,
 * VerifiedEval) stand after it, hence two passes: one for them, one for the questions. */
#include "metric/triviaqa.h"

#include <stdlib.h>
#include <string.h>

#include "metric/answer.h"
#include "metric/gold.h"
#include "metric/pytext.h"

typedef struct scorer {
    const char *gold_path;
    bool is_wikipedia, is_verified;
    json_t *predictions; /* owned */
    json_t *seen;        /* owned: the keys so far; a page can be named twice */
    double em, f1;       /* sums */
    int64_t common;
} scorer;

/* The fields that stand behind what they are about. */
static status on_setting(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    scorer *s = arg;
    (void)line;
    if (which == 0)
        s->is_wikipedia = n == 11 && !memcmp(bytes, "\"Wikipedia\"", n);
    else
        s->is_verified = n == 4 && !memcmp(bytes, "true", n);
    return OK;
}

static status read_settings(scorer *s) {
    reader *r = NULL;
    TRY(reader_open(s->gold_path, &r));
    status st = json_scan(r, "Domain|VerifiedEval", 0, on_setting, s);
    reader_close(r);
    return st;
}

/* NormalizedAliases and HumanAnswers, borrowed from the answer; caller frees the array. */
static const char **gold_texts(const json_t *answer, int64_t *n_texts) {
    static const char *const fields[] = {"NormalizedAliases", "HumanAnswers"};
    const char **texts = NULL;
    int64_t n = 0, cap = 0;
    for (int f = 0; f < 2; f++) {
        const json_t *list = json_object_get(answer, fields[f]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const char *text = json_string_value(json_array_get(list, i));
            if (!text) continue;
            GROW(texts, n, cap);
            texts[n++] = text;
        }
    }
    *n_texts = n;
    return texts;
}

static status score_key(scorer *s, const char *key, const char *const *gold, int64_t n_gold) {
    if (json_object_get(s->seen, key)) return OK;
    json_object_set_new(s->seen, key, json_true());
    const json_t *prediction = json_object_get(s->predictions, key);
    if (!prediction) return OK;
    if (!json_is_string(prediction))
        FAIL(ERR_FORMAT, "prediction for '%s' is not a string; wanted {\"key\": \"text\"}", key);
    answer_score best = answer_best(ANSWER_TRIVIAQA, json_string_value(prediction), gold, n_gold);
    s->em += best.em;
    s->f1 += best.f1;
    s->common++;
    return OK;
}

/* Every evidence page of a Web question is scored under its own key. */
static status score_pages(scorer *s, const json_t *question, const char *id,
                          const char *const *gold, int64_t n_gold) {
    static const char *const fields[] = {"EntityPages", "SearchResults"};
    status st = OK;
    for (int f = 0; f < 2; f++) {
        const json_t *pages = json_object_get(question, fields[f]);
        for (size_t i = 0; i < json_array_size(pages) && !st; i++) {
            const json_t *page = json_array_get(pages, i);
            const char *file = json_str(page, "Filename", NULL);
            if (!file) continue;
            if (s->is_verified && !json_flag(page, "DocPartOfVerifiedEval", false)) continue;
            char *key = xasprintf("%s--%s", id, file);
            st = score_key(s, key, gold, n_gold);
            free(key);
        }
    }
    return st;
}

static status score_question(void *arg, const json_t *question, const char *what) {
    scorer *s = arg;
    if (s->is_verified && !json_flag(question, "QuestionPartOfVerifiedEval", false)) return OK;
    const char *id;
    TRY(json_want_str(question, "QuestionId", what, &id));
    int64_t n_gold;
    const char **gold = gold_texts(json_object_get(question, "Answer"), &n_gold);
    if (!n_gold)
        FAIL(ERR_FORMAT,
             "%s: question '%s' has no Answer with NormalizedAliases; a test file without answers "
             "cannot be scored",
             what, id);
    status st = s->is_wikipedia ? score_key(s, id, gold, n_gold)
                                : score_pages(s, question, id, gold, n_gold);
    free(gold);
    return st;
}

static status scorer_run(scorer *s, const char *predictions) {
    if (!strcmp(s->gold_path, "-"))
        FAIL(ERR_ARG, "TriviaQA gold is read twice and cannot come from stdin; name a file");
    TRY(gold_predictions(predictions, "QuestionId--Filename", "\"answer\"", &s->predictions));
    TRY(read_settings(s));
    TRY(gold_each(s->gold_path, "Data.*", score_question, s));
    if (!json_object_size(s->seen))
        FAIL(ERR_FORMAT, "%s: no questions found; wanted TriviaQA's Data[] with their pages",
             s->gold_path);
    return OK;
}

status triviaqa_score(const char *gold, const char *predictions, triviaqa_scores *out) {
    scorer s = {.gold_path = gold, .seen = json_object()};
    status st = scorer_run(&s, predictions);
    if (!st) {
        int64_t keys = (int64_t)json_object_size(s.seen);
        *out = (triviaqa_scores){.exact_match = 100.0 * s.em / (double)keys,
                                 .f1 = 100.0 * s.f1 / (double)keys,
                                 .common = s.common,
                                 .denominator = keys,
                                 .pred_len = (int64_t)json_object_size(s.predictions),
                                 .gold_len = keys};
    }
    json_decref(s.predictions);
    json_decref(s.seen);
    return st;
}

void triviaqa_print(const triviaqa_scores *s, buf *out) {
    buf_puts(out, "{\"exact_match\": ");
    py_add_number(out, s->exact_match);
    buf_puts(out, ", \"f1\": ");
    py_add_number(out, s->f1);
    buf_printf(
        out, ", \"common\": %lld, \"denominator\": %lld, \"pred_len\": %lld, \"gold_len\": %lld}\n",
        (long long)s->common, (long long)s->denominator, (long long)s->pred_len,
        (long long)s->gold_len);
}
