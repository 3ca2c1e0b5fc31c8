/* ROUGE-N, ROUGE-L and summary-level ROUGE-L, see rouge.h. */
#include "metric/rouge.h"

#include <stdlib.h>
#include <string.h>

#include "metric/ngram.h"
#include "metric/porter.h"
#include "metric/pytext.h"

const char *const rouge_names[ROUGE_TYPES] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};

static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Appends the tokens of s to out, joined by single spaces. */
static void add_tokens(const char *s, size_t n, bool stem, buf *out) {
    buf lower = {0};
    py_add_lower(&lower, s, n);
    for (size_t i = 0; i < lower.len;) {
        size_t begin = i;
        while (i < lower.len && is_token_char(lower.at[i])) i++;
        size_t len = i - begin;
        if (stem && len > 3) len = porter_stem(lower.at + begin, len);
        if (len) {
            if (out->len) buf_putc(out, ' ');
            buf_add(out, lower.at + begin, len);
        }
        i += i < lower.len && !is_token_char(lower.at[i]);
    }
    buf_clear(&lower);
}

static rouge_score scored(double hits, double n_target, double n_prediction) {
    rouge_score s = {.precision = hits / (n_prediction > 1 ? n_prediction : 1),
                     .recall = hits / (n_target > 1 ? n_target : 1)};
    double sum = s.precision + s.recall;
    if (sum > 0) s.f = 2 * s.precision * s.recall / sum;
    return s;
}

static rouge_score score_ngrams(const char *target, const char *prediction, int order) {
    ngrams want = ngrams_of(target, order), said = ngrams_of(prediction, order);
    rouge_score s = scored((double)ngrams_shared(&want, &said), (double)want.n, (double)said.n);
    ngrams_clear(&want);
    ngrams_clear(&said);
    return s;
}

/* A list of words in the order of the text. */
typedef struct sentence {
    ngram *words; /* owned */
    int64_t n;
} sentence;

/* Row i of the table of common-subsequence lengths from row i - 1: [n + 1] each. */
static void lcs_row(ngram word, const sentence *b, const int32_t *above, int32_t *row) {
    row[0] = 0;
    for (int64_t j = 1; j <= b->n; j++) {
        if (ngram_equal(word, b->words[j - 1]))
            row[j] = above[j - 1] + 1;
        else
            row[j] = above[j] > row[j - 1] ? above[j] : row[j - 1];
    }
}

static rouge_score score_lcs(const char *target, const char *prediction) {
    sentence a = {0}, b = {0};
    a.words = ngram_words(target, &a.n);
    b.words = ngram_words(prediction, &b.n);
    int32_t *above = xcalloc((size_t)b.n + 1, sizeof *above),
            *row = xcalloc((size_t)b.n + 1, sizeof *row);
    for (int64_t i = 0; i < a.n; i++) {
        lcs_row(a.words[i], &b, above, row);
        int32_t *swap = above;
        above = row;
        row = swap;
    }
    rouge_score s = scored(above[b.n], (double)a.n, (double)b.n);
    free(above);
    free(row);
    free(a.words);
    free(b.words);
    return s;
}

/* Marks in used[a->n] the words of a that one longest common subsequence with b takes: the one
 * that walking back from the end finds, going up where both ways are as long. */
static void mark_lcs(const sentence *a, const sentence *b, bool *used) {
    size_t width = (size_t)b->n + 1;
    int32_t *table = xcalloc(((size_t)a->n + 1) * width, sizeof *table); /* [a->n + 1, b->n + 1] */
    for (int64_t i = 0; i < a->n; i++)
        lcs_row(a->words[i], b, table + (size_t)i * width, table + (size_t)(i + 1) * width);
    for (int64_t i = a->n, j = b->n; i > 0 && j > 0;) {
        const int32_t *row = table + (size_t)i * width, *above = row - width;
        if (ngram_equal(a->words[i - 1], b->words[j - 1])) {
            used[i - 1] = true;
            i--, j--;
        } else if (row[j - 1] > above[j]) {
            j--;
        } else {
            i--;
        }
    }
    free(table);
}

/* A text cut into sentences at its newlines; text keeps the tokens of each. */
typedef struct summary {
    sentence *s; /* [n] owned */
    buf *texts;  /* [n] owned */
    int64_t n, cap, cap_texts, n_words;
} summary;

static summary summary_of(const char *text, bool stem) {
    summary m = {0};
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        if (len) {
            GROW(m.s, m.n, m.cap);
            GROW(m.texts, m.n, m.cap_texts);
            m.texts[m.n] = (buf){0};
            buf_puts(&m.texts[m.n], "");
            add_tokens(at, len, stem, &m.texts[m.n]);
            m.s[m.n].words = ngram_words(m.texts[m.n].at, &m.s[m.n].n);
            m.n_words += m.s[m.n].n;
            m.n++;
        }
        at += len + (at[len] == '\n');
    }
    return m;
}

static void summary_clear(summary *m) {
    for (int64_t i = 0; i < m->n; i++) {
        free(m->s[i].words);
        buf_clear(&m->texts[i]);
    }
    free(m->s);
    free(m->texts);
}

/* The words marked in the target, each counted at most as often as the prediction has it. */
static int64_t clipped_hits(const char *target_words, const char *prediction) {
    ngrams hits = ngrams_of(target_words, 1), said = ngrams_of(prediction, 1);
    int64_t n = ngrams_shared(&hits, &said);
    ngrams_clear(&hits);
    ngrams_clear(&said);
    return n;
}

/* Union of the subsequences that each target sentence shares with the predicted ones (Lin 2004,
 * section 3.2). prediction: all its tokens. */
static rouge_score score_summary(const char *target, const char *prediction,
                                 const char *prediction_tokens, bool stem) {
    summary want = summary_of(target, stem), said = summary_of(prediction, stem);
    buf hits = {0};
    buf_puts(&hits, "");
    for (int64_t i = 0; i < want.n; i++) {
        const sentence *a = &want.s[i];
        bool *used = xcalloc((size_t)a->n + 1, sizeof *used);
        for (int64_t j = 0; j < said.n; j++) mark_lcs(a, &said.s[j], used);
        for (int64_t w = 0; w < a->n; w++) {
            if (!used[w]) continue;
            if (hits.len) buf_putc(&hits, ' ');
            buf_add(&hits, a->words[w].at, a->words[w].len);
        }
        free(used);
    }
    rouge_score s = scored((double)clipped_hits(hits.at, prediction_tokens), (double)want.n_words,
                           (double)said.n_words);
    buf_clear(&hits);
    summary_clear(&want);
    summary_clear(&said);
    return s;
}

void rouge_all(const char *target, const char *prediction, bool stem,
               rouge_score out[ROUGE_TYPES]) {
    buf want = {0}, said = {0};
    buf_puts(&want, "");
    buf_puts(&said, "");
    add_tokens(target, strlen(target), stem, &want);
    add_tokens(prediction, strlen(prediction), stem, &said);
    out[ROUGE_1] = score_ngrams(want.at, said.at, 1);
    out[ROUGE_2] = score_ngrams(want.at, said.at, 2);
    out[ROUGE_L] = score_lcs(want.at, said.at);
    out[ROUGE_LSUM] = score_summary(target, prediction, said.at, stem);
    buf_clear(&want);
    buf_clear(&said);
}

void rouge_best(const char *const *targets, int64_t n_targets, const char *prediction, bool stem,
                rouge_score out[ROUGE_TYPES]) {
    MUST(n_targets >= 1, "n_targets=%lld", (long long)n_targets);
    for (int64_t i = 0; i < n_targets; i++) {
        rouge_score one[ROUGE_TYPES];
        rouge_all(targets[i], prediction, stem, one);
        for (int t = 0; t < ROUGE_TYPES; t++)
            if (i == 0 || one[t].f > out[t].f) out[t] = one[t];
    }
}
