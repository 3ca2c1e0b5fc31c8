/* WordPiece encoding (Wu et al. 2016; as BERT has it, Devlin et al. 2019): the text is normalised,
 * cut at blanks and around punctuation, and each word is spelled by the longest piece of the
 * vocabulary that it begins with, then by the longest "##" piece that goes on, ...; a word that
 * cannot be spelled is one unknown piece.
 *
 * One pass over the characters. Every rule of the normaliser looks at one character alone, so
 * they are applied as it comes, and each character that results keeps the range of the one it was
 * made from: that is how pieces get their places. The order in which NFD puts several marks after
 * a letter is not restored, because the marks are dropped right after. */
#include <string.h>

#include "text/wordpiece_int.h"
#include "util/hash.h"
#include "util/unicode.h"

enum { WORD_CHARS = 256, CHAR_BYTES = 4 };

/* ---- the vocabulary ---- */

int32_t wordpiece_find(const wordpiece *w, const char *bytes, size_t n) {
    int64_t i = (int64_t)(hash64(bytes, n) & (uint64_t)(w->n_slots - 1));
    for (; w->slot[i] >= 0; i = (i + 1) & (w->n_slots - 1)) {
        const char *piece = w->piece[w->slot[i]];
        if (strlen(piece) == n && memcmp(piece, bytes, n) == 0) return w->slot[i];
    }
    return -1;
}

bool wordpiece_is_special(const wordpiece *w, int32_t id) {
    for (int64_t i = 0; i < w->n_special; i++)
        if (w->special[i].id == id) return true;
    return false;
}

bool wordpiece_begins_word(const wordpiece *w, int32_t id) {
    return strncmp(w->piece[id], w->prefix, w->n_prefix) != 0;
}

/* ---- a word ---- */

typedef struct encoder {
    const wordpiece *w;
    tokens *out;
    int64_t at; /* end of the last piece in the text */
    /* the word that is being gathered; what is beyond WORD_CHARS is counted, not kept */
    int64_t n_chars;
    int64_t begin, end;                  /* bytes of the text */
    char bytes[WORD_CHARS * CHAR_BYTES]; /* the normalised word */
    int32_t place[WORD_CHARS + 1];       /* where each character begins in bytes, and the end */
    int64_t from[WORD_CHARS], to[WORD_CHARS]; /* range of the text that each is made from */
} encoder;

static void add_piece(encoder *e, int32_t id, int64_t end) {
    tokens_add(e->out, id, e->at, end);
    e->at = end;
}

/* The longest piece that the word goes on with from character i; *next is the character behind
 * it. */
static int32_t longest_piece(const encoder *e, int64_t i, int64_t *next) {
    const wordpiece *w = e->w;
    char key[WORD_CHARS * CHAR_BYTES + 16];
    size_t n_prefix = i ? w->n_prefix : 0;
    memcpy(key, w->prefix, n_prefix);
    memcpy(key + n_prefix, e->bytes + e->place[i], (size_t)(e->place[e->n_chars] - e->place[i]));
    for (int64_t j = e->n_chars; j > i; j--) {
        size_t n = (size_t)(e->place[j] - e->place[i]);
        if (n > w->longest) continue;
        int32_t id = wordpiece_find(w, key, n_prefix + n);
        if (id < 0) continue;
        *next = j;
        return id;
    }
    return -1;
}

/* Where a piece ends that ends before character j: not inside a character of the text, whose
 * parts all belong to the piece that has its last one. */
static int64_t end_before(const encoder *e, int64_t j) {
    return j < e->n_chars && e->from[j] == e->from[j - 1] ? e->from[j] : e->to[j - 1];
}

static void end_word(encoder *e) {
    int64_t n_before = e->out->n, at = e->at;
    if (e->n_chars == 0) return;
    bool known = e->n_chars <= e->w->max_chars;
    for (int64_t i = 0, j = 0; known && i < e->n_chars; i = j) {
        int32_t id = longest_piece(e, i, &j);
        known = id >= 0;
        if (known) add_piece(e, id, end_before(e, j));
    }
    if (!known) {
        e->out->n = n_before;
        e->at = at;
        add_piece(e, e->w->unknown, e->end);
    }
    e->n_chars = 0;
}

static void add_char(encoder *e, int32_t c, int64_t begin, int64_t end) {
    int64_t i = e->n_chars++;
    e->end = end;
    if (i >= WORD_CHARS) return;
    int32_t at = i ? e->place[i] : 0;
    e->place[i] = at;
    e->from[i] = begin;
    e->to[i] = end;
    e->place[i + 1] = at + utf8_write(c, e->bytes + at);
}

/* ---- characters ---- */

/* White_Space of Unicode. */
static bool is_blank(int32_t c) {
    if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
    return c == 0x85 || utf8_class(c) == CHAR_SPACE;
}

static bool is_punctuation(int32_t c) {
    if (c < 0x80)
        return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
               (c > 'z' && c < 0x7F);
    return utf8_class(c) == CHAR_PUNCT;
}

/* What BERT calls a Chinese character: each is a word. One block begins later than Unicode's
 * (2B820), as in the reference. */
static bool is_chinese(int32_t c) {
    return c >= 0x3400 && ((c >= 0x4E00 && c <= 0x9FFF) || c <= 0x4DBF ||
                           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
                           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
                           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F));
}

static bool is_dropped(int32_t c) {
    return c == 0 || c == 0xFFFD || (c != '\t' && c != '\n' && c != '\r' && utf8_is_control(c));
}

/* A character that is normalised: into the word, or a word of its own. */
static void put(encoder *e, int32_t c, int64_t begin, int64_t end) {
    if (is_blank(c)) {
        end_word(e);
    } else if (is_punctuation(c)) {
        end_word(e);
        add_char(e, c, begin, end);
        end_word(e);
    } else {
        add_char(e, c, begin, end);
    }
}

static void put_lower(encoder *e, int32_t c, int64_t begin, int64_t end) {
    if (e->w->lower && c == 0x130) { /* the one capital whose small letter is two characters */
        put(e, 'i', begin, end);
        put(e, 0x307, begin, end);
    } else {
        put(e, e->w->lower ? utf8_lower(c) : c, begin, end);
    }
}

/* A mark that is dropped goes with the letter before it. */
static void drop_mark(encoder *e, int64_t end) {
    if (e->n_chars == 0) return;
    e->end = end;
    if (e->n_chars <= WORD_CHARS) e->to[e->n_chars - 1] = end;
}

static void put_parts(encoder *e, int32_t c, int64_t begin, int64_t end) {
    int32_t part[UTF8_PARTS];
    int n = utf8_decompose(c, part);
    for (int i = 0; i < n; i++)
        if (!utf8_is_mark_alone(part[i]))
            put_lower(e, part[i], begin, end);
        else
            drop_mark(e, end);
}

/* A character of the text, bytes begin..end-1. */
static void take(encoder *e, int32_t c, int64_t begin, int64_t end) {
    const wordpiece *w = e->w;
    if (c < 0x80 && c > ' ' && c != 0x7F) { /* most of most text */
        put(e, w->lower ? utf8_lower(c) : c, begin, end);
        return;
    }
    if (w->clean && is_dropped(c)) return;
    bool alone = w->chinese && is_chinese(c);
    if (alone) end_word(e);
    if (w->strip)
        put_parts(e, c, begin, end);
    else
        put_lower(e, c, begin, end);
    if (alone) end_word(e);
}

/* ---- a text ---- */

static const wordpiece_special *special_at(const wordpiece *w, const char *text, size_t n) {
    for (int64_t i = 0; i < w->n_special; i++) {
        const wordpiece_special *s = &w->special[i];
        if (s->n_bytes <= n && memcmp(text, w->piece[s->id], s->n_bytes) == 0) return s;
    }
    return NULL;
}

void wordpiece_encode(const wordpiece *w, const char *text, size_t n, tokens *out) {
    encoder e = {.w = w, .out = out};
    for (size_t i = 0; i < n;) {
        const wordpiece_special *s =
            w->begins_special[(unsigned char)text[i]] ? special_at(w, text + i, n - i) : NULL;
        if (s) {
            end_word(&e);
            i += s->n_bytes;
            add_piece(&e, s->id, (int64_t)i);
        } else {
            size_t begin = i;
            int32_t c = utf8_next(text, n, &i);
            take(&e, c, (int64_t)begin, (int64_t)i);
        }
    }
    end_word(&e);
}
