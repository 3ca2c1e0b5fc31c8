/* Answers in passages, see has_answer.h.
 *
 * The token rule becomes a substring search: a text is written as its tokens, each followed by
 * the byte 0x1F and the first also preceded by one. Tokens hold no control character, so an
 * answer's tokens stand in the passage's in a row exactly when the one string holds the other. */
#include "metric/has_answer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "metric/answer.h"
#include "metric/pytext.h"
#include "util/unicode.h"

enum { SEPARATOR = 0x1F };

static bool is_word_part(int32_t c) {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    char_class k = utf8_class(c);
    return k == CHAR_LETTER || k == CHAR_NUMBER || k == CHAR_MARK;
}

/* A character that is a token of its own: neither a separator (Z) nor a control (C). */
static bool is_single(int32_t c) {
    char_class k = utf8_class(c);
    return k == CHAR_PUNCT || k == CHAR_SYMBOL;
}

static void add_token(buf *out, const char *s, size_t n) {
    if (!out->len) buf_putc(out, SEPARATOR);
    py_add_lower(out, s, n);
    buf_putc(out, SEPARATOR);
}

/* Appends the tokens of s, which is in NFD. */
static void add_tokens(buf *out, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t begin = i, next = i;
        int32_t c = 0;
        while (i < n && is_word_part(c = utf8_next(s, n, &next))) i = next;
        if (i > begin) add_token(out, s + begin, i - begin);
        if (i == n) break;
        if (is_single(c)) add_token(out, s + i, next - i);
        i = next;
    }
}

void has_prepare(has_rule rule, const char *text, size_t n, buf *out) {
    if (rule == HAS_SUBSTRING) {
        answer_normalize(ANSWER_SQUAD, text, n, out);
        return;
    }
    buf_reset(out);
    buf_puts(out, ""); /* never NULL */
    if (rule == HAS_REGEX) {
        utf8_add_form(out, text, n, UTF8_NFD);
        return;
    }
    buf nfd = {0};
    utf8_add_form(&nfd, text, n, UTF8_NFD);
    add_tokens(out, nfd.at, nfd.len);
    buf_clear(&nfd);
}

struct answer_set {
    has_rule rule;
    int64_t n;
    buf *forms;           /* [n] HAS_TOKENS, HAS_SUBSTRING */
    pcre2_code **regexes; /* [n] HAS_REGEX */
};

/* NULL when the pattern does not compile. */
static pcre2_code *regex_compile(const char *pattern, size_t n) {
    int error;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_CASELESS | PCRE2_MULTILINE | PCRE2_UTF | PCRE2_UCP;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &error, &at, NULL);
    if (code)
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it matching is slower, no more */
    return code;
}

answer_set *answer_set_new(has_rule rule, const char *const *answers, int64_t n,
                           int64_t *n_dropped) {
    answer_set *set = xcalloc(1, sizeof *set);
    set->rule = rule;
    set->forms = xcalloc((size_t)n + 1, sizeof *set->forms);
    set->regexes = xcalloc((size_t)n + 1, sizeof *set->regexes);
    for (int64_t i = 0; i < n; i++) {
        buf *form = &set->forms[set->n];
        has_prepare(rule, answers[i], strlen(answers[i]), form);
        if (rule == HAS_REGEX) {
            set->regexes[set->n] = form->len ? regex_compile(form->at, form->len) : NULL;
            set->n += set->regexes[set->n] != NULL;
        } else {
            set->n += form->len > 0;
        }
        if (form == &set->forms[set->n]) buf_clear(form); /* dropped */
    }
    if (n_dropped) *n_dropped = n - set->n;
    return set;
}

void answer_set_free(answer_set *set) {
    if (!set) return;
    for (int64_t i = 0; i < set->n; i++) {
        buf_clear(&set->forms[i]);
        pcre2_code_free(set->regexes[i]);
    }
    free(set->forms);
    free(set->regexes);
    free(set);
}

static bool regex_in(const pcre2_code *code, const buf *text) {
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
    MUST(match, "no memory for a match");
    int rc = pcre2_match(code, (PCRE2_SPTR)text->at, text->len, 0, 0, match, NULL);
    pcre2_match_data_free(match);
    return rc >= 0;
}

bool has_answer(const answer_set *set, const buf *passage) {
    for (int64_t i = 0; i < set->n; i++) {
        const buf *form = &set->forms[i];
        if (set->rule == HAS_REGEX ? regex_in(set->regexes[i], passage)
                                   : memmem(passage->at, passage->len, form->at, form->len) != NULL)
            return true;
    }
    return false;
}
