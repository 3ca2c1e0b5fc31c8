/* BLEU, see bleu.h. */
#include "metric/bleu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/ngram.h"
#include "metric/pytext.h"
#include "util/unicode.h"

#define SACREBLEU_VERSION "2.6.0"

/* --- tokenizer 13a: five rewritings, each over the result of the one before ------------------ */

static void replace_all(buf *text, const char *from, const char *to) {
    size_t len = strlen(from);
    buf out = {0};
    for (size_t i = 0; i < text->len;) {
        if (text->len - i >= len && !memcmp(text->at + i, from, len)) {
            buf_puts(&out, to);
            i += len;
        } else {
            buf_putc(&out, text->at[i++]);
        }
    }
    buf_clear(text);
    *text = out;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_not_digit(char c) {
    return !is_digit(c);
}

static bool is_stop(char c) {
    return c == '.' || c == ',';
}

static bool is_dash(char c) {
    return c == '-';
}

/* ASCII's symbols but for apostrophe, comma, dash and period. */
static bool is_symbol(char c) {
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
           (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

static void space_symbols(buf *text) {
    buf out = {0};
    for (size_t i = 0; i < text->len; i++) {
        char c = text->at[i], spaced[3] = {' ', c, ' '};
        if (is_symbol(c))
            buf_add(&out, spaced, 3);
        else
            buf_putc(&out, c);
    }
    buf_clear(text);
    *text = out;
}

/* Rewrites each pair of characters (first, second), found from left to right without overlap, as
 * "ab" -> "a b " or, where spaces lead, " a b". */
static void space_pairs(buf *text, bool (*first)(char), bool (*second)(char), bool lead) {
    buf out = {0};
    for (size_t i = 0; i < text->len;) {
        char a = text->at[i++];
        if (!first(a) || i == text->len || !second(text->at[i])) {
            buf_putc(&out, a);
            continue;
        }
        char b = text->at[i++];
        char after[4] = {a, ' ', b, ' '}, before[4] = {' ', a, ' ', b};
        buf_add(&out, lead ? before : after, 4);
    }
    buf_clear(text);
    *text = out;
}

/* The end of s without Python's white space behind it. */
static size_t stripped(const char *s, size_t n) {
    size_t i = 0, begin, end = 0, last = 0;
    while (py_next_word(s, n, &i, &begin, &end)) last = end;
    return last;
}

void bleu_tokenize(const char *s, size_t n, buf *out) {
    buf text = {0};
    buf_add(&text, s, stripped(s, n));
    replace_all(&text, "<skipped>", "");
    replace_all(&text, "-\n", "");
    replace_all(&text, "\n", " ");
    replace_all(&text, "&quot;", "\"");
    replace_all(&text, "&amp;", "&");
    replace_all(&text, "&lt;", "<");
    replace_all(&text, "&gt;", ">");
    buf padded = {0};
    buf_printf(&padded, " ");
    buf_add(&padded, text.at, text.len);
    buf_putc(&padded, ' ');
    space_symbols(&padded);
    space_pairs(&padded, is_not_digit, is_stop, false);
    space_pairs(&padded, is_stop, is_not_digit, true);
    space_pairs(&padded, is_digit, is_dash, false);

    buf_reset(out);
    buf_puts(out, "");
    size_t i = 0, begin, end;
    while (py_next_word(padded.at, padded.len, &i, &begin, &end)) {
        if (out->len) buf_putc(out, ' ');
        buf_add(out, padded.at + begin, end - begin);
    }
    buf_clear(&padded);
    buf_clear(&text);
}

/* --- counts ---------------------------------------------------------------------------------- */

static int64_t count_words(const char *text) {
    int64_t n = *text != 0;
    for (; *text; text++) n += *text == ' ';
    return n;
}

static int64_t closest_length(int64_t hyp_len, const buf *refs, int64_t n_refs) {
    int64_t best = -1;
    for (int64_t i = 0; i < n_refs; i++) {
        int64_t len = count_words(refs[i].at);
        int64_t gap = llabs(len - hyp_len), best_gap = llabs(best - hyp_len);
        if (i == 0 || gap < best_gap || (gap == best_gap && len < best)) best = len;
    }
    return best;
}

void bleu_add(bleu_stats *s, const char *hypothesis, const char *const *refs, int64_t n_refs) {
    MUST(n_refs >= 1, "n_refs=%lld", (long long)n_refs);
    buf hyp = {0}, *ref = xcalloc((size_t)n_refs, sizeof *ref);
    ngrams *bags = xcalloc((size_t)n_refs, sizeof *bags);
    bleu_tokenize(hypothesis, strlen(hypothesis), &hyp);
    for (int64_t i = 0; i < n_refs; i++) bleu_tokenize(refs[i], strlen(refs[i]), &ref[i]);

    int64_t hyp_len = count_words(hyp.at);
    s->hyp_len += hyp_len;
    s->ref_len += closest_length(hyp_len, ref, n_refs);
    for (int order = 1; order <= BLEU_ORDER; order++) {
        ngrams mine = ngrams_of(hyp.at, order);
        for (int64_t i = 0; i < n_refs; i++) bags[i] = ngrams_of(ref[i].at, order);
        s->correct[order - 1] += ngrams_shared_any(&mine, bags, n_refs);
        s->total[order - 1] += mine.n;
        ngrams_clear(&mine);
        for (int64_t i = 0; i < n_refs; i++) ngrams_clear(&bags[i]);
    }
    for (int64_t i = 0; i < n_refs; i++) buf_clear(&ref[i]);
    buf_clear(&hyp);
    free(ref);
    free(bags);
}

/* --- score ------------------------------------------------------------------------------------ */

bleu_score bleu_of(const bleu_stats *s, bool effective_order) {
    bleu_score b = {.brevity_penalty = 1};
    if (s->hyp_len < s->ref_len)
        b.brevity_penalty = s->hyp_len ? exp(1 - (double)s->ref_len / (double)s->hyp_len) : 0;
    int64_t matches = 0;
    for (int i = 0; i < BLEU_ORDER; i++) matches += s->correct[i];
    if (!matches) return b;

    double halved = 1, sum = 0; /* a k-th order without a match counts as 1/2^k of one */
    int orders = BLEU_ORDER;
    for (int i = 0; i < BLEU_ORDER && s->total[i]; i++) {
        if (effective_order) orders = i + 1;
        if (!s->correct[i]) halved *= 2;
        b.precisions[i] = s->correct[i] ? 100.0 * (double)s->correct[i] / (double)s->total[i]
                                        : 100.0 / (halved * (double)s->total[i]);
    }
    for (int i = 0; i < orders; i++) sum += b.precisions[i] > 0 ? log(b.precisions[i]) : -INFINITY;
    b.score = b.brevity_penalty * exp(sum / orders);
    return b;
}

void bleu_signature(int64_t n_refs, bool effective_order, buf *out) {
    buf_printf(out, "nrefs:%lld|case:mixed|eff:%s|tok:13a|smooth:exp|version:" SACREBLEU_VERSION,
               (long long)n_refs, effective_order ? "yes" : "no");
}

void bleu_print(const bleu_stats *s, int64_t n_refs, bool effective_order, buf *out) {
    bleu_score b = bleu_of(s, effective_order);
    const double *p = b.precisions;
    buf_printf(out, "{\n \"name\": \"BLEU\",\n \"score\": %.1f,\n \"signature\": \"", b.score);
    bleu_signature(n_refs, effective_order, out);
    buf_printf(
        out,
        "\",\n \"verbose_score\": \"%.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld "
        "ref_len = %lld)\",\n",
        p[0], p[1], p[2], p[3], b.brevity_penalty,
        s->ref_len ? (double)s->hyp_len / (double)s->ref_len : 0.0, (long long)s->hyp_len,
        (long long)s->ref_len);
    buf_printf(
        out,
        " \"nrefs\": \"%lld\",\n \"case\": \"mixed\",\n \"eff\": \"%s\",\n \"tok\": \"13a\",\n"
        " \"smooth\": \"exp\",\n \"version\": \"" SACREBLEU_VERSION "\"\n}\n",
        (long long)n_refs, effective_order ? "yes" : "no");
}
