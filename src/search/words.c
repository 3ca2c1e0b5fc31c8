/* Words: splitting by Unicode class, NFKC and lower case, Snowball stems. ASCII, nearly all
 * of most texts, takes a short way through a table of its own. */
#include "search/words.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>

#include "util/unicode.h"

struct words {
    struct sb_stemmer *stemmer; /* NULL: no stemming */
    buf word;                   /* the word being collected, ASCII part lower-cased */
    buf form;                   /* its NFKC form */
    buf lower;                  /* that in lower case */
};

status words_new(const char *language, words **out) {
    struct sb_stemmer *stemmer = NULL;
    if (strcmp(language, "none") != 0) {
        stemmer = sb_stemmer_new(language, "UTF_8");
        if (!stemmer) {
            buf known = {0};
            for (const char **name = sb_stemmer_list(); *name; name++)
                buf_printf(&known, " %s", *name);
            status st = err_set(ERR_ARG, __FILE__, __LINE__,
                                "no stemmer for language '%s'; there are: none%s", language,
                                known.at ? known.at : "");
            buf_clear(&known);
            return st;
        }
    }
    words *w = xcalloc(1, sizeof *w);
    w->stemmer = stemmer;
    *out = w;
    return OK;
}

void words_free(words *w) {
    if (!w) return;
    sb_stemmer_delete(w->stemmer);
    buf_clear(&w->word);
    buf_clear(&w->form);
    buf_clear(&w->lower);
    free(w);
}

/* Scripts written without blanks between words, one sign about one word or syllable:
 * Han with its extensions, and kana. */
static bool is_ideograph(int32_t c) {
    return (c >= 0x3041 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x3FFFF);
}

/* Invisible signs inside words: soft hyphen, zero-width non-joiner and joiner. */
static bool is_ignorable(int32_t c) {
    return c == 0xAD || c == 0x200C || c == 0x200D;
}

static size_t cut_at_character(const char *s, size_t n) {
    if (n <= WORD_BYTES_MAX) return n;
    n = WORD_BYTES_MAX;
    while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80) n--;
    return n;
}

/* Hands over the collected word, if there is one. */
static void word_end(words *w, bool is_ascii, word_fn fn, void *arg) {
    if (!w->word.len) return;
    const buf *b = &w->word;
    if (!is_ascii) {
        buf_reset(&w->form);
        buf_reset(&w->lower);
        utf8_add_form(&w->form, w->word.at, w->word.len, UTF8_NFKC);
        utf8_add_lower(&w->lower, w->form.at, w->form.len);
        b = &w->lower;
    }
    size_t n = cut_at_character(b->at, b->len);
    if (n) fn(arg, b->at, n);
    buf_reset(&w->word);
}

/* utf8_next reads a malformed byte as U+FFFD, a symbol, which ends a word. */
void words_split(words *w, const char *s, size_t n, word_fn fn, void *arg) {
    bool is_ascii = true; /* the word collected so far */
    for (size_t i = 0; i < n;) {
        unsigned char byte = (unsigned char)s[i];
        if (byte < 0x80) {
            bool letter = (byte | 32) >= 'a' && (byte | 32) <= 'z';
            if (letter || (byte >= '0' && byte <= '9')) {
                buf_putc(&w->word, (char)(letter ? byte | 32 : byte));
            } else {
                word_end(w, is_ascii, fn, arg);
                is_ascii = true;
            }
            i++;
            continue;
        }
        size_t begin = i;
        int32_t c = utf8_next(s, n, &i);
        if (is_ignorable(c)) continue;
        char_class k = utf8_class(c);
        bool in_word = k == CHAR_LETTER || k == CHAR_MARK || k == CHAR_NUMBER;
        bool alone = in_word && is_ideograph(c);
        if (!in_word || alone) {
            word_end(w, is_ascii, fn, arg);
            is_ascii = true;
        }
        if (in_word) {
            buf_add(&w->word, s + begin, i - begin);
            is_ascii = false;
        }
        if (alone) {
            word_end(w, is_ascii, fn, arg);
            is_ascii = true;
        }
    }
    word_end(w, is_ascii, fn, arg);
}

const char *words_stem(words *w, const char *word, size_t n, size_t *n_term) {
    *n_term = n;
    if (!w->stemmer) return word;
    const sb_symbol *stem = sb_stemmer_stem(w->stemmer, (const sb_symbol *)word, (int)n);
    MUST(stem, "the stemmer is out of memory at a word of %zu bytes", n);
    *n_term = (size_t)sb_stemmer_length(w->stemmer);
    return (const char *)stem;
}

struct stem_call {
    words *w;
    word_fn fn;
    void *arg;
};

static void stem_and_call(void *arg, const char *word, size_t n) {
    struct stem_call *call = arg;
    size_t n_term;
    const char *term = words_stem(call->w, word, n, &n_term);
    if (n_term) call->fn(call->arg, term, n_term);
}

void words_each(words *w, const char *text, size_t n, word_fn fn, void *arg) {
    struct stem_call call = {w, fn, arg};
    words_split(w, text, n, stem_and_call, &call);
}
