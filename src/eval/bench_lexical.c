/* BM25: building an index and asking it whole questions for the best 100.
 *
 * Words are made up and follow Zipf's law (the i-th most frequent comes with a share of 1 / i),
 * in passages of 48 words as the peers' script has them. Questions are 11 words of a passage
 * (SQuAD's mean): mostly frequent ones, among them some rare ones, as in real questions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "eval/bench_int.h"
#include "search/lexical.h"
#include "util/log.h"

enum { WORDS = 48, QUESTION = 11, VOCABULARY = 200000, TOP = 100, WORD_MAX = 16 };

/* The word of a rank: syllables, so that the stemmer has to work as it has on language. */
static int spell(int64_t rank, char *to) {
    static const char *const syllable[16] = {"ba", "re",  "ti", "son", "ka", "lo", "men", "du",
                                             "vi", "sta", "pe", "rin", "go", "mu", "la",  "ned"};
    int n = 0;
    for (int64_t x = rank + 16; x > 0; x /= 16) n += sprintf(to + n, "%s", syllable[x % 16]);
    return n;
}

/* Zipf by inversion: ranks are exp of a uniform number, but for rounding. */
static int64_t draw_rank(rng *r) {
    int64_t rank = (int64_t)exp(rng_uniform(r) * log(VOCABULARY)) - 1;
    return rank < 0 ? 0 : rank;
}

static void draw_text(rng *r, int64_t n_words, buf *out) {
    char word[4 * WORD_MAX];
    buf_reset(out);
    for (int64_t i = 0; i < n_words; i++) {
        if (i) buf_putc(out, ' ');
        buf_add(out, word, (size_t)spell(draw_rank(r), word));
    }
}

static status build(const bench *b, const char *folder, int64_t n, char name[SEGMENT_NAME]) {
    rng r = rng_new(b->o.seed);
    lexical_builder *w = NULL;
    buf text = {0};
    double spent = 0;
    TRY(lexical_builder_open(folder, NULL, &w));
    status st = OK;
    for (int64_t i = 0; i < n && !st; i++) {
        draw_text(&r, WORDS, &text);
        double begun = now_s();
        st = lexical_builder_add(w, i, NULL, 0, text.at, text.len);
        spent += now_s() - begun;
    }
    double begun = now_s();
    if (!st) st = lexical_builder_finish(w, name);
    spent += now_s() - begun;
    lexical_builder_close(w);
    buf_clear(&text);
    if (!st) bench_say(b, (bench_figure){spent, "s", 0, 0, 0}, "lexical.%ld.build", (long)n);
    return st;
}

static status ask(const bench *b, const lexical *ix, int64_t n) {
    enum { QUESTIONS = 500 };
    double s[QUESTIONS];
    hit hits[TOP];
    rng r = rng_new(b->o.seed + 1);
    buf text = {0};
    status st = OK;
    for (int i = -10; i < QUESTIONS && !st; i++) { /* the first ten warm up */
        int64_t found;
        draw_text(&r, QUESTION, &text);
        double begun = now_s();
        st = lexical_search(ix, text.at, text.len, &bm25_default, TOP, (hit_filter){0}, hits,
                            &found);
        if (i >= 0) s[i] = now_s() - begun;
    }
    buf_clear(&text);
    if (st) return st;
    bench_say(b, (bench_figure){1e3 * bench_quantile(s, QUESTIONS, .5), "ms", 0, 0, 0},
              "lexical.%ld.p50", (long)n);
    bench_say(b, (bench_figure){1e3 * bench_quantile(s, QUESTIONS, .99), "ms", 0, 0, 0},
              "lexical.%ld.p99", (long)n);
    return OK;
}

static status build_and_ask(const bench *b, const char *folder, int64_t n) {
    char name[SEGMENT_NAME];
    TRY(build(b, folder, n, name));
    lexical *ix = NULL;
    TRY(lexical_open(folder, (const char *[]){name}, 1, (id_list){0}, &ix));
    status st = ask(b, ix, n);
    lexical_close(ix);
    return st;
}

status bench_lexical(const bench *b) {
    static const int64_t sizes[] = {
        [BENCH_FULL] = 300000, [BENCH_QUICK] = 30000, [BENCH_TINY] = 500};
    char *folder = NULL;
    TRY(bench_folder_make(&folder));
    status st = build_and_ask(b, folder, sizes[b->o.size]);
    bench_folder_remove(folder);
    return st;
}
