/* Exact match and F1 of short answers, see answer.h. */
#include "metric/answer.h"

#include <string.h>

#include "metric/ngram.h"
#include "metric/pytext.h"
#include "util/unicode.h"

/* Python's string.punctuation: all of ASCII that is printable and no letter, digit or blank. */
static bool is_ascii_punct(int32_t c) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* Appends lower-cased s with its punctuation deleted or, by TriviaQA's rule, made spaces. */
static void add_without_punct(answer_rule rule, buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t begin = i;
        int32_t c = utf8_next(s, n, &i);
        bool is_quote = c == 0x2018 || c == 0x2019 || c == 0xB4;
        if (rule == ANSWER_SQUAD ? is_ascii_punct(c) : is_ascii_punct(c) || is_quote) {
            if (rule == ANSWER_TRIVIAQA) buf_putc(b, ' ');
        } else {
            buf_add(b, s + begin, i - begin);
        }
    }
}

static bool is_article(const char *s, size_t n) {
    return (n == 1 && s[0] == 'a') || (n == 2 && !memcmp(s, "an", 2)) ||
           (n == 3 && !memcmp(s, "the", 3));
}

/* Appends s with every maximal run of word characters that is an article made a space: what
 * re.sub(r'\b(a|an|the)\b', ' ', s) does. */
static void add_without_articles(buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t begin = i, next = i;
        while (i < n && py_is_word(utf8_next(s, n, &next))) i = next;
        if (is_article(s + begin, i - begin))
            buf_putc(b, ' ');
        else
            buf_add(b, s + begin, i - begin);
        if (i == n) break;
        buf_add(b, s + i, next - i); /* the character that ended the run */
        i = next;
    }
}

void answer_normalize(answer_rule rule, const char *s, size_t n, buf *out) {
    buf lower = {0}, words = {0};
    py_add_lower(&lower, s, n);
    add_without_punct(rule, &words, lower.at, lower.len);
    buf_reset(&lower);
    add_without_articles(&lower, words.at, words.len);

    buf_reset(out);
    buf_puts(out, ""); /* never NULL */
    size_t i = 0, begin, end;
    while (py_next_word(lower.at, lower.len, &i, &begin, &end)) {
        if (out->len) buf_putc(out, ' ');
        buf_add(out, lower.at + begin, end - begin);
    }
    buf_clear(&lower);
    buf_clear(&words);
}

double answer_bag_f1(const char *prediction, const char *gold) {
    ngrams said = ngrams_of(prediction, 1), want = ngrams_of(gold, 1);
    double shared = (double)ngrams_shared(&said, &want);
    double precision = shared / (double)said.n, recall = shared / (double)want.n;
    ngrams_clear(&said);
    ngrams_clear(&want);
    return shared > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

answer_score answer_best(answer_rule rule, const char *prediction, const char *const *gold,
                         int64_t n_gold) {
    answer_score best = {0, 0};
    buf said = {0}, want = {0};
    answer_normalize(rule, prediction, strlen(prediction), &said);
    for (int64_t i = 0; i < n_gold; i++) {
        answer_normalize(rule, gold[i], strlen(gold[i]), &want);
        double f1 = answer_bag_f1(said.at, want.at);
        if (!strcmp(said.at, want.at)) best.em = 1;
        if (f1 > best.f1) best.f1 = f1;
    }
    buf_clear(&said);
    buf_clear(&want);
    return best;
}

answer_score answer_best_squad2(const char *prediction, const char *const *gold, int64_t n_gold) {
    answer_score best = {0, 0};
    bool answerable = false;
    buf said = {0}, want = {0};
    answer_normalize(ANSWER_SQUAD, prediction, strlen(prediction), &said);
    for (int64_t i = 0; i < n_gold; i++) {
        answer_normalize(ANSWER_SQUAD, gold[i], strlen(gold[i]), &want);
        if (!want.len) continue;
        answerable = true;
        double f1 = answer_bag_f1(said.at, want.at);
        if (!strcmp(said.at, want.at)) best.em = 1;
        if (f1 > best.f1) best.f1 = f1;
    }
    if (!answerable) best.em = best.f1 = said.len == 0;
    buf_clear(&said);
    buf_clear(&want);
    return best;
}
