/* Training a tokenizer: the text goes by once, line by line, into a sample of bounded size;
 * SentencePiece learns from that.
 *
 * The sample. Line number i is kept if rng_hash(seed, i) is below a threshold that starts at
 * "all" and is halved each time the sample outgrows its limit: every line has the same chance,
 * whatever the length of the text, which need not be known.
 *
 * The alphabet. Each character with a piece of its own costs one; scripts with thousands of
 * them, or stray symbols, could eat the vocabulary. Characters get pieces, most frequent first,
 * until 99.99 % of the text is covered, half the vocabulary is spent, or they were seen only
 * once or twice; bytes spell the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text/spm_int.h"
#include "text/tokenizer.h"
#include "util/file.h"
#include "util/log.h"
#include "util/rng.h"
#include "util/unicode.h"

#define LINE_BYTES     4096 /* longer ones are cut */
#define N_CODE_POINTS  0x110000
#define N_FIXED_PIECES (4 + 256) /* specials and bytes */

/* ---- the sample ---- */

typedef struct sample_line {
    int64_t at, n; /* in text */
    uint64_t ticket;
} sample_line;

typedef struct sample {
    buf text;
    sample_line *line; /* [n] */
    int64_t n, cap;
    uint64_t seed, limit; /* lines with ticket <= limit are kept */
    int64_t max_bytes, n_seen, seen_bytes;
    int64_t next; /* the reading position of sample_next */
} sample;

/* Drops the lines whose ticket is above the halved limit. */
static void sample_thin(sample *s) {
    s->limit /= 2;
    size_t to = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        sample_line l = s->line[i];
        if (l.ticket > s->limit) continue;
        memmove(s->text.at + to, s->text.at + l.at, (size_t)l.n);
        s->line[n++] = (sample_line){(int64_t)to, l.n, l.ticket};
        to += (size_t)l.n;
    }
    s->text.len = to;
    s->n = n;
}

/* U+2585 is SentencePiece's own mark, and it stops at NUL: lines with either would be skipped. */
static void add_clean(buf *b, const char *s, size_t n) {
    size_t from = b->len;
    buf_add(b, s, n);
    for (size_t i = from; i < b->len; i++) {
        if (b->at[i] == '\0') b->at[i] = ' ';
        if (i + 3 <= b->len && memcmp(b->at + i, "\xe2\x96\x85", 3) == 0) memset(b->at + i, ' ', 3);
    }
}

static void sample_line_add(sample *s, const char *line, size_t n) {
    uint64_t ticket = rng_hash(s->seed, (uint64_t)s->n_seen++);
    s->seen_bytes += (int64_t)n;
    if (ticket > s->limit) return;
    GROW(s->line, s->n, s->cap);
    s->line[s->n++] = (sample_line){(int64_t)s->text.len, (int64_t)n, ticket};
    add_clean(&s->text, line, n);
    while ((int64_t)s->text.len > s->max_bytes && s->n > 1) sample_thin(s);
}

/* Where to cut text of more than LINE_BYTES: after the last blank that fits, else between two
 * characters. */
static size_t cut_at(const char *text) {
    for (size_t i = LINE_BYTES; i > LINE_BYTES / 2; i--)
        if (text[i - 1] == ' ' || text[i - 1] == '\t') return i;
    size_t i = LINE_BYTES;
    while (i > LINE_BYTES - 4 && ((unsigned char)text[i] & 0xc0) == 0x80) i--;
    return i;
}

static void sample_add(sample *s, const char *text, size_t n) {
    while (n) {
        const char *end = memchr(text, '\n', n);
        size_t line = end ? (size_t)(end - text) : n;
        size_t take = line > LINE_BYTES ? cut_at(text) : line;
        if (take) sample_line_add(s, text, take);
        if (take == line && end) take++;
        text += take;
        n -= take;
    }
}

static bool sample_next(void *arg, const char **line, size_t *n) {
    sample *s = arg;
    if (s->next == s->n) return false;
    *line = s->text.at + s->line[s->next].at;
    *n = (size_t)s->line[s->next++].n;
    return true;
}

/* ---- the alphabet ---- */

static int by_count_down(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Counts one line's characters as the trainer will see them: each word after one U+2581. */
static int64_t count_characters(const char *line, size_t n, bool lower_case, int64_t *count) {
    int64_t total = 0;
    bool in_word = false;
    for (size_t at = 0; at < n;) {
        int32_t c = utf8_next(line, n, &at);
        char_class class = utf8_class(c);
        if (class == CHAR_SPACE || class == CHAR_CONTROL) {
            in_word = false;
            continue;
        }
        if (!in_word) count[0x2581]++;
        total += 1 + !in_word;
        in_word = true;
        count[lower_case ? utf8_lower(c) : c]++;
    }
    return total;
}

/* The share of the sample's characters that may have pieces of their own; 0 for no text. */
static double coverage_of(const sample *s, int64_t vocab_size, bool lower_case) {
    int64_t *count = xcalloc(N_CODE_POINTS, sizeof *count);
    int64_t total = 0, n = 0, covered = 0, n_pieces = 0;
    int64_t max_pieces = (vocab_size - N_FIXED_PIECES) / 2;
    for (int64_t i = 0; i < s->n; i++)
        total +=
            count_characters(s->text.at + s->line[i].at, (size_t)s->line[i].n, lower_case, count);
    for (int32_t c = 0; c < N_CODE_POINTS; c++)
        if (count[c]) count[n++] = count[c];
    qsort(count, (size_t)n, sizeof *count, by_count_down);
    double enough = .9999 * (double)total;
    while (n_pieces < n && n_pieces < max_pieces && count[n_pieces] > 2 && (double)covered < enough)
        covered += count[n_pieces++];
    free(count);
    return total ? (double)covered / (double)total : 0;
}

/* ---- normalisation ---- */

/* The characters that count as a blank, as ranges. */
static const int32_t blanks[][2] = {
    {0x09, 0x0d},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
};

/* SentencePiece reads its rules from a file: an unnamed one in memory, *fd, whose path goes to
 * `path`. They become part of the model. */
static status write_rules(bool lower_case, int *fd, char path[64]) {
    buf rules = {0};
    for (size_t i = 0; i < sizeof blanks / sizeof *blanks; i++)
        for (int32_t c = blanks[i][0]; c <= blanks[i][1]; c++)
            buf_printf(&rules, "%X\t20\n", (unsigned)c);
    for (int32_t c = 0; lower_case && c < N_CODE_POINTS; c++)
        if (utf8_lower(c) != c)
            buf_printf(&rules, "%X\t%X\n", (unsigned)c, (unsigned)utf8_lower(c));
    *fd = memfd_create("raglan-rules", MFD_CLOEXEC);
    bool written = *fd >= 0 && write(*fd, rules.at, rules.len) == (ssize_t)rules.len;
    buf_clear(&rules);
    if (!written) FAIL(ERR_IO, "cannot hold the tokenizer's normalisation rules in memory");
    snprintf(path, 64, "/proc/self/fd/%d", *fd);
    return OK;
}

/* ---- training ---- */

static status read_sample(sample *s, text_source next, void *arg) {
    for (;;) {
        const char *text = NULL;
        size_t n = 0;
        bool more = false;
        TRY(next(arg, &text, &n, &more));
        if (!more) return OK;
        sample_add(s, text, n);
    }
}

/* Saves the model, and says so when it is smaller than was asked for. */
static status save_model(const char *bytes, size_t n, int64_t wanted, const char *path) {
    spm *model;
    TRY(spm_load(bytes, n, &model));
    int32_t size = spm_size(model);
    spm_free(model);
    if (size < wanted)
        log_warn(
            "the text allows a vocabulary of %d pieces at most, fewer than the %lld asked for; "
            "taking those",
            size, (long long)wanted);
    return file_write(path, bytes, n);
}

static status train_on(sample *s, const tokenizer_options *o, const char *path) {
    double coverage = coverage_of(s, o->vocab_size, o->lower_case);
    if (coverage == 0)
        FAIL(ERR_ARG,
             "there is no text to train a tokenizer on; add documents with: raglan ingest PATH");
    if (s->limit != UINT64_MAX)
        log_info("tokenizer: learning from %.1f of %.1f MB of text", (double)s->text.len / 1e6,
                 (double)s->seen_bytes / 1e6);
    char rules[64];
    int fd = -1;
    status st = write_rules(o->lower_case, &fd, rules);
    char *bytes = NULL;
    size_t n = 0;
    spm_training training = {.unigram = o->kind == TOKENIZER_UNIGRAM,
                             .vocab_size = o->vocab_size,
                             .coverage = coverage,
                             .rules_path = rules,
                             .verbose = log_level_get() >= LOG_DEBUG,
                             .next = sample_next,
                             .arg = s};
    if (!st) st = spm_train(&training, &bytes, &n);
    if (!st) st = save_model(bytes, n, o->vocab_size, path);
    if (fd >= 0) close(fd);
    free(bytes);
    return st;
}

status tokenizer_train(const tokenizer_options *options, text_source next, void *arg,
                       const char *path) {
    tokenizer_options o = *options;
    if (!o.vocab_size) o.vocab_size = 10000;
    if (!o.sample_bytes) o.sample_bytes = (int64_t)64 << 20;
    if (o.vocab_size < 300 || o.vocab_size > 1000000)
        FAIL(ERR_ARG, "vocab_size is %lld, wanted 300 to 1000000 (260 are specials and bytes)",
             (long long)o.vocab_size);
    if (o.sample_bytes < 0)
        FAIL(ERR_ARG, "sample_bytes is %lld, wanted 1 or more", (long long)o.sample_bytes);
    sample s = {.seed = o.seed, .limit = UINT64_MAX, .max_bytes = o.sample_bytes};
    status st = read_sample(&s, next, arg);
    if (!st) st = train_on(&s, &o, path);
    buf_clear(&s.text);
    free(s.line);
    return st;
}
