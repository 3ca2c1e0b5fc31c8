/* Training a tokenizer. Pieces never cross blanks, so all there is to learn is in the words and
 * their counts: the text goes by once, whatever its length, and SentencePiece is given its
 * distinct words ("word<TAB>count", its own tsv format) instead of the text.
 *
 * Unigram takes its first candidates from repeated stretches of what it is given, where a
 * frequent word given once would not repeat: it gets a word of count c in 1 + log2(c) lines.
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
#include "text/words_int.h"
#include "util/file.h"
#include "util/log.h"
#include "util/unicode.h"

/* SentencePiece's time grows with the distinct words, and the rarest teach it little. On 27 MB of
 * mixed English, BPE 10,000: all 183,000 words 14 s and 4.46 bytes a token; the 79,000 met twice
 * or more 4 s and 4.39. */
#define ENOUGH_WORDS   200000
#define N_CODE_POINTS  0x110000
#define N_FIXED_PIECES (4 + 256) /* specials and bytes */

/* ---- lines for SentencePiece ---- */

typedef struct lines {
    const words *words;
    bool repeat; /* frequent words in several lines */
    word_choice choice;
    int64_t i, given; /* the word that is next, and how many of its lines went out */
    buf line;
} lines;

static int64_t n_lines(const lines *l, int64_t count) {
    int64_t n = 1;
    while (l->repeat && (count >>= 1)) n++;
    return n;
}

static bool next_line(void *arg, const char **line, size_t *n) {
    lines *l = arg;
    while (l->i < l->words->n && !word_is_chosen(l->choice, &l->words->at[l->i])) l->i++;
    if (l->i == l->words->n) return false;
    const word *w = &l->words->at[l->i];
    int64_t share = n_lines(l, w->count), count = w->count / share;
    if (l->given == 0) count += w->count % share;
    buf_reset(&l->line);
    buf_add(&l->line, l->words->text.at + w->at, (size_t)w->n);
    buf_printf(&l->line, "\t%lld", (long long)count);
    if (++l->given == share) {
        l->given = 0;
        l->i++;
    }
    *line = l->line.at;
    *n = l->line.len;
    return true;
}

/* ---- the alphabet ---- */

static int by_count_down(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Counts the characters of all words as the trainer will see them: each word after a U+2581. */
static int64_t count_characters(const words *w, bool lower_case, int64_t *count) {
    int64_t total = 0;
    for (int64_t i = 0; i < w->n; i++) {
        word x = w->at[i];
        count[0x2581] += x.count;
        total += x.count;
        for (size_t at = 0; at < (size_t)x.n; total += x.count) {
            int32_t c = utf8_next(w->text.at + x.at, (size_t)x.n, &at);
            count[lower_case ? utf8_lower(c) : c] += x.count;
        }
    }
    return total;
}

/* The share of the text's characters that may have pieces of their own; SentencePiece takes none
 * below 0.98, which is more than this asks for where a text is so short that most characters are
 * rare. */
static double coverage_of(const words *w, int64_t vocab_size, bool lower_case) {
    int64_t *count = xcalloc(N_CODE_POINTS, sizeof *count);
    int64_t total = count_characters(w, lower_case, count), n = 0, covered = 0, n_pieces = 0;
    int64_t max_pieces = (vocab_size - N_FIXED_PIECES) / 2;
    for (int32_t c = 0; c < N_CODE_POINTS; c++)
        if (count[c]) count[n++] = count[c];
    qsort(count, (size_t)n, sizeof *count, by_count_down);
    double enough = .9999 * (double)total;
    while (n_pieces < n && n_pieces < max_pieces && (double)covered < enough &&
           (count[n_pieces] > 2 || n_pieces == 0))
        covered += count[n_pieces++];
    free(count);
    double share = (double)covered / (double)total;
    return share < .98 ? .98 : share;
}

/* ---- normalisation ---- */

/* The characters that count as a blank, as ranges. U+2581 is what SentencePiece writes for a
 * blank; a text that has it would come back with one. */
// clang-format off
static const int32_t blanks[][2] = {
    {0x09, 0x0d},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x2581, 0x2581}, {0x3000, 0x3000},
};
// clang-format on

/* SentencePiece reads its rules from a file: an unnamed one in memory, *fd, whose path, equally
 * long for every number, goes to `path`. They become part of the model. */
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
    int n_digits = snprintf(NULL, 0, "%d", *fd);
    snprintf(path, 64, "/proc/self/fd%.*s%d", 12 - n_digits, "////////////", *fd);
    return OK;
}

/* The path becomes part of the model too: without this, models of one text would differ by how
 * many files the program had open. */
static void forget_number(char *model, size_t n, const char *path) {
    const char *number = strrchr(path, '/') + 1;
    char *at = memmem(model, n, path, strlen(path));
    if (at) memset(at + (number - path), '/', strlen(number));
}

/* ---- training ---- */

static status read_words(words *w, text_source next, void *arg) {
    for (;;) {
        const char *text = NULL;
        size_t n = 0;
        bool more = false;
        TRY(next(arg, &text, &n, &more));
        if (!more) return OK;
        words_add(w, text, n);
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

static status train_on(const words *w, const tokenizer_options *o, const char *path) {
    if (!w->n)
        FAIL(ERR_ARG,
             "there is no text to train a tokenizer on; add documents with: raglan ingest PATH");
    if (w->limit != UINT64_MAX)
        log_info("tokenizer: kept %lld words, a sample of the rare ones among them",
                 (long long)w->n);
    char rules[64], *bytes = NULL;
    int fd = -1;
    size_t n = 0;
    status st = write_rules(o->lower_case, &fd, rules);
    lines source = {.words = w,
                    .repeat = o->kind == TOKENIZER_UNIGRAM,
                    .choice = words_choose(w, ENOUGH_WORDS)};
    spm_training training = {.unigram = o->kind == TOKENIZER_UNIGRAM,
                             .vocab_size = o->vocab_size,
                             .coverage = coverage_of(w, o->vocab_size, o->lower_case),
                             .rules_path = rules,
                             .verbose = log_level_get() >= LOG_DEBUG,
                             .next = next_line,
                             .arg = &source};
    if (!st) st = spm_train(&training, &bytes, &n);
    if (!st) {
        forget_number(bytes, n, rules);
        st = save_model(bytes, n, o->vocab_size, path);
    }
    if (fd >= 0) close(fd);
    buf_clear(&source.line);
    free(bytes);
    return st;
}

status tokenizer_train(const tokenizer_options *options, text_source next, void *arg,
                       const char *path) {
    tokenizer_options o = *options;
    if (!o.vocab_size) o.vocab_size = 10000;
    if (!o.word_bytes) o.word_bytes = (int64_t)64 << 20;
    if (o.vocab_size < 300 || o.vocab_size > 1000000)
        FAIL(ERR_ARG, "vocab_size is %lld, wanted 300 to 1000000 (260 are specials and bytes)",
             (long long)o.vocab_size);
    if (o.word_bytes < 0)
        FAIL(ERR_ARG, "word_bytes is %lld, wanted 1 or more", (long long)o.word_bytes);
    words w;
    words_init(&w, o.word_bytes, o.seed);
    status st = read_words(&w, next, arg);
    if (!st) st = train_on(&w, &o, path);
    words_clear(&w);
    return st;
}
