/* Tokenizer: an opened model, encoding with places, decoding.
 *
 * Word by word. SentencePiece's cost and memory grow faster than its input, and text repeats
 * its words. For a model whose pieces do not cross blanks, and that drops blanks at either end,
 * the pieces of a text are exactly those of its words one after the other, so each word is
 * encoded once and remembered. Whether a model is one of these is tried at open (all models
 * trained here are); others get the text whole. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/memo_int.h"
#include "text/spm_int.h"
#include "text/wordpiece_int.h"
#include "util/file.h"
#include "util/hash.h"
#include "util/unicode.h"

#define MODEL_MAX_BYTES ((size_t)64 << 20)
#define WORD_MAX_BYTES  65536 /* longer runs without a blank are cut */

static const char BLANK[] = "\xe2\x96\x81"; /* U+2581, SentencePiece's visible blank */
#define BLANK_BYTES (sizeof BLANK - 1)
static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

struct tokenizer {
    spm *model;    /* one of the two */
    wordpiece *wp; /* then the three below are not there */
    char hash[41];
    int32_t size;
    uint8_t *flags;   /* [size] PIECE_* */
    int16_t *byte;    /* [size] the byte a byte piece stands for, else -1 */
    int32_t blank_id; /* the piece that is a lone blank, or -1 */
    memo *memo;       /* words encoded before; NULL: the model wants texts whole */
    bool has_specials;
};

/* ---- opening ---- */

/* The byte that "<0x41>" names, or -1. */
static int byte_of(const char *piece) {
    return strncmp(piece, "<0x", 3) == 0 ? (int)strtol(piece + 3, NULL, 16) : -1;
}

/* What the text of a piece says about it, from byte i on. */
static uint8_t flags_of_text(const char *s, size_t i) {
    size_t n = strlen(s);
    uint8_t flags = 0;
    bool letter = false, number = false, punct = false;
    while (i < n) {
        int32_t c = utf8_next(s, n, &i);
        char_class class = utf8_class(c);
        if (class == CHAR_LETTER && !letter && utf8_is_upper(c)) flags |= PIECE_CAPITAL;
        letter |= class == CHAR_LETTER;
        number |= class == CHAR_NUMBER;
        punct |= class == CHAR_PUNCT || class == CHAR_SYMBOL;
    }
    if (number) flags |= PIECE_DIGIT;
    if (punct && !letter && !number) flags |= PIECE_PUNCT;
    return flags;
}

static uint8_t flags_of(const spm *m, int32_t id) {
    if (spm_is_special(m, id)) return PIECE_SPECIAL;
    if (spm_is_byte(m, id)) return PIECE_BYTE;
    const char *s = spm_piece(m, id);
    bool begins = strncmp(s, BLANK, BLANK_BYTES) == 0;
    return (uint8_t)((begins ? PIECE_WORD : 0) | flags_of_text(s, begins ? BLANK_BYTES : 0));
}

static uint8_t flags_of_wordpiece(const wordpiece *w, int32_t id) {
    if (wordpiece_is_special(w, id)) return PIECE_SPECIAL;
    bool begins = wordpiece_begins_word(w, id);
    return (uint8_t)((begins ? PIECE_WORD : 0) |
                     flags_of_text(w->piece[id], begins ? 0 : w->n_prefix));
}

static void add_id(void *arg, int32_t id, int64_t begin, int64_t end) {
    tokens_add(arg, id, begin, end);
}

/* Does `whole` have exactly the pieces of `left` and then those of `right`? */
static bool encodes_apart(const spm *m, const char *whole, const char *left, const char *right) {
    tokens a = {0}, b = {0};
    spm_encode(m, whole, strlen(whole), add_id, &a);
    spm_encode(m, left, strlen(left), add_id, &b);
    spm_encode(m, right, strlen(right), add_id, &b);
    bool same = a.n == b.n && (!a.n || memcmp(a.id, b.id, (size_t)a.n * sizeof *a.id) == 0);
    tokens_clear(&a);
    tokens_clear(&b);
    return same;
}

static bool may_split(const tokenizer *t) {
    for (int32_t id = 0; id < t->size; id++) {
        const char *s = spm_piece(t->model, id);
        if (*s && strstr(s + 1, BLANK)) return false;
    }
    return encodes_apart(t->model, "a b", "a", " b") &&
           encodes_apart(t->model, "a\nb", "a", "\nb") &&
           encodes_apart(t->model, "a \t\r\n b", "a \t", "\r\n b");
}

static void describe_pieces(tokenizer *t) {
    t->size = t->wp ? t->wp->size : spm_size(t->model);
    t->flags = xcalloc((size_t)t->size, sizeof *t->flags);
    for (int32_t id = 0; t->wp && id < t->size; id++) t->flags[id] = flags_of_wordpiece(t->wp, id);
    if (t->wp) return;
    t->byte = xcalloc((size_t)t->size, sizeof *t->byte);
    for (int32_t id = 0; id < t->size; id++) {
        t->flags[id] = flags_of(t->model, id);
        t->byte[id] = (int16_t)(t->flags[id] & PIECE_BYTE ? byte_of(spm_piece(t->model, id)) : -1);
    }
    t->blank_id = spm_find(t->model, BLANK);
    if (may_split(t)) t->memo = memo_new();
    t->has_specials =
        spm_find(t->model, "<pad>") == TOKEN_PAD && spm_find(t->model, "<s>") == TOKEN_BOS &&
        spm_find(t->model, "</s>") == TOKEN_EOS && spm_find(t->model, "<unk>") == TOKEN_UNK;
}

static status load_sentencepiece(const char *bytes, size_t n, const char *what, spm **out) {
    status st = spm_load(bytes, n, out);
    if (!st && spm_size(*out) == 0)
        st = err_set(ERR_FORMAT, __FILE__, __LINE__, "the model has no pieces");
    return st ? err_wrap(st, "%s: not a usable SentencePiece model (%zu bytes)", what, n) : OK;
}

status tokenizer_read(const char *bytes, size_t n, const char *what, tokenizer **out) {
    tokenizer *t = xcalloc(1, sizeof *t);
    status st = n && bytes[0] == '{' ? wordpiece_load(bytes, n, what, &t->wp)
                                     : load_sentencepiece(bytes, n, what, &t->model);
    if (st) {
        tokenizer_close(t);
        return st;
    }
    sha1_hex(bytes, n, t->hash);
    describe_pieces(t);
    *out = t;
    return OK;
}

status tokenizer_open(const char *path, tokenizer **out) {
    if (!file_exists(path))
        FAIL(ERR_STATE, "%s: there is no tokenizer yet; make one with: raglan train tokenizer",
             path);
    buf bytes = {0};
    TRY(file_read(path, MODEL_MAX_BYTES, &bytes));
    status st = tokenizer_read(bytes.at, bytes.len, path, out);
    buf_clear(&bytes);
    return st;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    if (t->model) spm_free(t->model);
    wordpiece_free(t->wp);
    memo_free(t->memo);
    free(t->flags);
    free(t->byte);
    free(t);
}

/* ---- what is in it ---- */

const char *tokenizer_hash(const tokenizer *t) {
    return t->hash;
}

int64_t tokenizer_size(const tokenizer *t) {
    return t->size;
}

bool tokenizer_has_specials(const tokenizer *t) {
    return t->has_specials;
}

static void must_be_id(const tokenizer *t, int32_t id) {
    MUST(id >= 0 && id < t->size, "piece %d of a vocabulary of %d", id, t->size);
}

uint8_t tokenizer_flags(const tokenizer *t, int32_t id) {
    must_be_id(t, id);
    return t->flags[id];
}

const char *tokenizer_piece(const tokenizer *t, int32_t id) {
    must_be_id(t, id);
    return t->wp ? t->wp->piece[id] : spm_piece(t->model, id);
}

int32_t tokenizer_find(const tokenizer *t, const char *piece) {
    return t->wp ? wordpiece_find(t->wp, piece, strlen(piece)) : spm_find(t->model, piece);
}

/* ---- encoding ---- */

static bool is_ascii_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Adds pieces so that their ranges tile the text. */
typedef struct collector {
    tokens *out;
    int64_t base;       /* where what is being encoded begins in the text */
    int64_t at;         /* end of the last piece */
    int32_t skip_first; /* a lone blank SentencePiece put where no blank was, or -1 */
} collector;

static void collect(void *arg, int32_t id, int64_t begin, int64_t end) {
    collector *c = arg;
    (void)begin; /* = where the piece before ended, or after blanks that count as this piece's */
    bool skip = id == c->skip_first && end == 0;
    c->skip_first = -1;
    if (skip) return;
    tokens_add(c->out, id, c->at, c->base + end);
    c->at = c->base + end;
}

/* Bytes of the word at text[0]; *forced when it goes on after them. */
static size_t word_bytes(const char *text, size_t n, bool *forced) {
    size_t limit = n < WORD_MAX_BYTES ? n : WORD_MAX_BYTES, i = 0;
    *forced = false;
    while (i < limit && !is_ascii_blank(text[i])) i++;
    if (i < limit || i == n) return i;
    *forced = true;
    while (i > limit - 4 && ((unsigned char)text[i] & 0xc0) == 0x80) i--;
    return i;
}

/* Remembers a word of n bytes whose pieces were just added from out->id[first] on. */
static void remember(memo *m, const char *bytes, size_t n, uint64_t hash, const collector *c,
                     int64_t first) {
    uint16_t end[MEMO_WORD_BYTES * 2];
    int64_t n_pieces = c->out->n - first;
    if (n_pieces > MEMO_WORD_BYTES * 2) return;
    for (int64_t i = 0; i < n_pieces; i++) end[i] = (uint16_t)(c->out->end[first + i] - c->base);
    memo_add(m,
             &(memo_word){hash, (uint16_t)n, (uint16_t)n_pieces, bytes, c->out->id + first, end});
}

static void encode_word(const tokenizer *t, const char *bytes, size_t n, collector *c) {
    if (n > MEMO_WORD_BYTES || c->skip_first >= 0) {
        spm_encode(t->model, bytes, n, collect, c);
        return;
    }
    uint64_t hash = hash64(bytes, n);
    const memo_word *known = memo_find(t->memo, bytes, n, hash);
    if (known) {
        for (int i = 0; i < known->n_pieces; i++) collect(c, known->id[i], 0, known->end[i]);
        return;
    }
    int64_t first = c->out->n;
    spm_encode(t->model, bytes, n, collect, c);
    remember(t->memo, bytes, n, hash, c, first);
}

static void encode_words(const tokenizer *t, const char *text, size_t n, collector *c) {
    for (size_t i = 0; i < n;) {
        if (is_ascii_blank(text[i])) {
            i++;
            continue;
        }
        bool forced;
        size_t length = word_bytes(text + i, n - i, &forced);
        c->base = (int64_t)i;
        encode_word(t, text + i, length, c);
        c->skip_first = forced ? t->blank_id : -1;
        i += length;
    }
}

void tokenizer_encode(const tokenizer *t, const char *text, size_t n, tokens *out) {
    int64_t n_before = out->n;
    collector c = {.out = out, .skip_first = -1};
    if (t->wp)
        wordpiece_encode(t->wp, text, n, out);
    else if (t->memo)
        encode_words(t, text, n, &c);
    else
        spm_encode(t->model, text, n, collect, &c);
    if (out->n > n_before) out->end[out->n - 1] = (int64_t)n; /* the blanks after the last word */
}

int32_t *tokenizer_encode_ids(const tokenizer *t, const char *text, size_t n_bytes, arena *a,
                              int64_t *n) {
    tokens list = {0};
    tokenizer_encode(t, text, n_bytes, &list);
    int32_t *ids = NULL;
    if (list.n) {
        ids = ARENA_ARRAY(a, int32_t, list.n);
        memcpy(ids, list.id, (size_t)list.n * sizeof *ids);
    }
    *n = list.n;
    tokens_clear(&list);
    return ids;
}

/* ---- decoding ---- */

/* Length of the character that byte c leads, or 0 where it leads none. */
static int character_bytes(unsigned char c) {
    if (c < 0x80) return 1;
    if (c >= 0xc2 && c < 0xe0) return 2;
    if (c >= 0xe0 && c < 0xf0) return 3;
    return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* Each byte that became no character is one U+FFFD, as SentencePiece has it. */
static void flush_pending(token_stream *s, buf *out) {
    for (int i = 0; i < s->n_pending; i++) buf_puts(out, REPLACEMENT);
    s->n_pending = 0;
}

static void add_byte(token_stream *s, unsigned char c, buf *out) {
    bool continues = (c & 0xc0) == 0x80;
    if (s->n_pending && !continues) flush_pending(s, out);
    s->pending[s->n_pending++] = (char)c;
    int want = character_bytes((unsigned char)s->pending[0]);
    if (s->n_pending < want) return;
    if (want == 0 || utf8_invalid_at(s->pending, (size_t)s->n_pending) >= 0) {
        flush_pending(s, out);
    } else {
        buf_add(out, s->pending, (size_t)s->n_pending);
        s->n_pending = 0;
    }
}

static bool is_unknown(const tokenizer *t, int32_t id) {
    return t->wp ? id == t->wp->unknown : strcmp(spm_piece(t->model, id), "<unk>") == 0;
}

void tokenizer_spell(const tokenizer *t, int32_t id, buf *out) {
    must_be_id(t, id);
    const char *piece = tokenizer_piece(t, id);
    if (t->flags[id] & PIECE_SPECIAL) return;
    if (t->flags[id] & PIECE_BYTE) {
        buf_putc(out, (char)t->byte[id]);
    } else if (t->wp) {
        bool begins = t->flags[id] & PIECE_WORD;
        if (begins) buf_putc(out, ' ');
        buf_puts(out, begins ? piece : piece + t->wp->n_prefix);
    } else {
        for (const char *blank; (blank = strstr(piece, BLANK)); piece = blank + BLANK_BYTES) {
            buf_add(out, piece, (size_t)(blank - piece));
            buf_putc(out, ' ');
        }
        buf_puts(out, piece);
    }
}

void token_stream_add(const tokenizer *t, token_stream *s, int32_t id, buf *out) {
    must_be_id(t, id);
    if (t->flags[id] & PIECE_BYTE) {
        add_byte(s, (unsigned char)t->byte[id], out);
        s->begun = true;
        return;
    }
    flush_pending(s, out);
    if (t->flags[id] & PIECE_SPECIAL) {
        if (is_unknown(t, id)) buf_puts(out, " \xe2\x81\x87 "); /* U+2047 */
        return;
    }
    size_t at = out->len;
    tokenizer_spell(t, id, out);
    if (!s->begun && out->len > at && out->at[at] == ' ') { /* none before the first word */
        memmove(out->at + at, out->at + at + 1, out->len - at);
        out->len--;
    }
    s->begun = true;
}

void token_stream_end(token_stream *s, buf *out) {
    flush_pending(s, out);
}

void tokenizer_decode(const tokenizer *t, const int32_t *ids, int64_t n, buf *out) {
    token_stream s = {0};
    for (int64_t i = 0; i < n; i++) token_stream_add(t, &s, ids[i], out);
    token_stream_end(&s, out);
}
