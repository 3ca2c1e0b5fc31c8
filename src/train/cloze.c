/* Cloze questions: a passage, a gap in it, a question from what stands round the gap, and the
 * passages that BM25 finds for that question. All draws come from the step's rng. */
#include "train/cloze.h"

#include <string.h>

#include "model/finder.h"

enum { REACH = 12, MOST_PLACES = 64, MOST_ANSWER = 10 };

typedef struct masked {
    int64_t passage;
    const int32_t *ids; /* [n] of the passage */
    int64_t n;
    span answer; /* tokens of it */
} masked;

static bool has(const cloze *z, int32_t id, uint8_t flags) {
    return tokenizer_flags(z->t, id) & flags;
}

/* The end of the word that begins at i: its last token that is no punctuation. */
static int64_t word_end(const cloze *z, const masked *m, int64_t i) {
    int64_t end = i + 1;
    while (end < m->n && !has(z, m->ids[end], PIECE_WORD | PIECE_PUNCT)) end++;
    return end;
}

static bool begins_answer(const cloze *z, const masked *m, int64_t i) {
    return has(z, m->ids[i], PIECE_WORD) && !has(z, m->ids[i], PIECE_PUNCT);
}

/* Names go on over capitalised words, numbers now and then over the word behind them (a unit);
 * anything else is one to three words. */
static span grow_answer(const cloze *z, const masked *m, int64_t begin, bool is_salient, rng *r) {
    int64_t end = word_end(z, m, begin), words = is_salient ? 1 : 1 + rng_below(r, 3);
    bool digit = has(z, m->ids[begin], PIECE_DIGIT), takes_unit = digit && (rng_next(r) & 1);
    for (int64_t w = 1; end < m->n && begins_answer(z, m, end); w++) {
        bool goes_on = is_salient
                           ? (digit ? takes_unit && w == 1 : has(z, m->ids[end], PIECE_CAPITAL))
                           : w < words;
        int64_t next = word_end(z, m, end);
        if (!goes_on || next - begin > MOST_ANSWER) break;
        end = next;
    }
    return (span){begin, end};
}

/* Mostly a number or a name, else any words. False: the passage has no place for a gap. */
static bool choose_answer(const cloze *z, masked *m, rng *r) {
    int64_t salient[MOST_PLACES], plain[MOST_PLACES], n_salient = 0, n_plain = 0;
    for (int64_t i = 1; i < m->n; i++) {
        if (!begins_answer(z, m, i)) continue;
        if (has(z, m->ids[i], PIECE_DIGIT | PIECE_CAPITAL) && n_salient < MOST_PLACES)
            salient[n_salient++] = i;
        if (!has(z, m->ids[i], PIECE_DIGIT | PIECE_CAPITAL) && n_plain < MOST_PLACES)
            plain[n_plain++] = i;
    }
    if (n_salient + n_plain == 0) return false;
    bool is_salient = n_plain == 0 || (n_salient > 0 && rng_uniform(r) < 0.6);
    int64_t begin = is_salient ? salient[rng_below(r, n_salient)] : plain[rng_below(r, n_plain)];
    m->answer = grow_answer(z, m, begin, is_salient, r);
    return true;
}

static bool choose_passage(const cloze *z, masked *m, rng *r) {
    for (int tries = 0; tries < 64; tries++) {
        int64_t p = rng_below(r, z->c->n);
        span s = z->c->text[p];
        *m = (masked){.passage = p, .ids = z->c->tokens + s.begin, .n = s.end - s.begin};
        if (m->n >= 8 && choose_answer(z, m, r)) return true;
    }
    return false;
}

/* The title, usually, and a random share of the words near the gap, in their order. */
static void write_question(const cloze *z, arena *a, const masked *m, rng *r,
                           reader_question *out) {
    span title = z->c->title[m->passage];
    int32_t *ids = ARENA_ARRAY(a, int32_t, title.end - title.begin + 2 * REACH + 1);
    int64_t n = 0;
    double keep = 0.4 + 0.6 * rng_uniform(r);
    if (rng_uniform(r) < 0.7)
        for (int64_t i = title.begin; i < title.end; i++) ids[n++] = z->c->tokens[i];
    int64_t begin = m->answer.begin - REACH > 0 ? m->answer.begin - REACH : 0;
    int64_t end = m->answer.end + REACH < m->n ? m->answer.end + REACH : m->n;
    for (int64_t i = begin; i < end; i++) {
        bool is_gap = i >= m->answer.begin && i < m->answer.end;
        if (!is_gap && rng_uniform(r) < keep) ids[n++] = m->ids[i];
    }
    out->ids = ids;
    out->n_ids = n;
}

/* The passages that BM25 finds for the question; the gap's own takes the last place if it is not
 * among them. */
static status find_passages(const cloze *z, arena *a, const masked *m, int64_t n_passages,
                            reader_question *out) {
    buf text = {0};
    hit *hits = ARENA_ARRAY(a, hit, n_passages);
    int64_t n = 0;
    tokens_text(z->t, out->ids, out->n_ids, &text, NULL);
    status st = lexical_search(z->lex, text.at ? text.at : "", text.len, &bm25_default, n_passages,
                               (hit_filter){0}, hits, &n);
    buf_clear(&text);
    if (st) return st;
    int64_t *at = ARENA_ARRAY(a, int64_t, n_passages + 1), own = -1, n_at = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t p = corpus_find(z->c, hits[i].id);
        if (p == m->passage) own = n_at;
        if (p >= 0) at[n_at++] = p;
    }
    if (own < 0) {
        own = n_at < n_passages ? n_at++ : n_at - 1;
        at[own] = m->passage;
    }
    reader_passage *p = reader_passages_of(a, z->c, at, n_at);
    p[own].answer = m->answer;
    out->passages = p;
    out->n_passages = n_at;
    return OK;
}

status cloze_question(const cloze *z, arena *a, int64_t n_passages, rng *r, reader_question *out) {
    masked m;
    *out = (reader_question){0};
    if (!choose_passage(z, &m, r)) return OK;
    write_question(z, a, &m, r, out);
    out->answer = m.ids + m.answer.begin;
    out->n_answer = m.answer.end - m.answer.begin;
    return find_passages(z, a, &m, n_passages, out);
}
