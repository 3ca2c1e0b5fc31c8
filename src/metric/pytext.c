/* Python's text functions over UTF-8, see pytext.h. Sources: Python's documentation of str and
 * re; the Unicode Standard, section 3.13 (the Final_Sigma condition). */
#include "metric/pytext.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/unicode.h"

enum { CAPITAL_SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, CAPITAL_I_DOT = 0x130 };

bool py_is_space(int32_t c) {
    if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 28 && c <= 32);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool py_is_word(int32_t c) {
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    char_class k = utf8_class(c);
    return k == CHAR_LETTER || k == CHAR_NUMBER;
}

/* Letters of scripts with two cases, as far as a neighbour of a sigma can matter. */
static bool is_cased(int32_t c) {
    if (utf8_lower(c) != c) return true;
    bool bicameral = c < 0x250 || (c >= 0x370 && c < 0x530) || (c >= 0x531 && c < 0x588) ||
                     (c >= 0x1D00 && c < 0x2000) || (c >= 0x2C00 && c < 0x2E00) ||
                     (c >= 0xA640 && c < 0xA800) || (c >= 0xFF41 && c < 0xFF5B);
    return bicameral && utf8_class(c) == CHAR_LETTER;
}

/* Marks and the punctuation that stands inside words do not end one (Case_Ignorable). */
static bool is_case_ignorable(int32_t c) {
    return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD ||
           c == 0xAF || c == 0xB4 || c == 0xB7 || c == 0xB8 || c == 0x2018 || c == 0x2019 ||
           c == 0x2024 || c == 0x2027 || (c >= 0x200B && c <= 0x200F) || utf8_class(c) == CHAR_MARK;
}

/* Final_Sigma for the sigma at bytes [begin, end) of s: a cased letter before it and none after,
 * looking through what is case-ignorable. */
static bool is_final_sigma(const char *s, size_t n, size_t begin, size_t end) {
    bool cased_before = false;
    for (size_t i = 0; i < begin;) {
        int32_t c = utf8_next(s, n, &i);
        if (!is_case_ignorable(c)) cased_before = is_cased(c);
    }
    if (!cased_before) return false;
    for (size_t i = end; i < n;) {
        int32_t c = utf8_next(s, n, &i);
        if (!is_case_ignorable(c)) return !is_cased(c);
    }
    return true;
}

static void add_lower_unicode(buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t begin = i;
        int32_t c = utf8_next(s, n, &i);
        if (c == CAPITAL_I_DOT) {
            utf8_put(b, 'i');
            utf8_put(b, 0x307);
        } else if (c == CAPITAL_SIGMA) {
            utf8_put(b, is_final_sigma(s, n, begin, i) ? FINAL_SIGMA : SMALL_SIGMA);
        } else {
            utf8_put(b, utf8_lower(c));
        }
    }
}

void py_add_lower(buf *b, const char *s, size_t n) {
    size_t i = 0;
    while (i < n && (unsigned char)s[i] < 0x80) i++;
    if (i == n) { /* plain ASCII, the common case */
        buf_add(b, s, n);
        for (i = b->len - n; i < b->len; i++)
            if (b->at[i] >= 'A' && b->at[i] <= 'Z') b->at[i] = (char)(b->at[i] + 32);
    } else {
        add_lower_unicode(b, s, n);
    }
}

bool py_next_word(const char *s, size_t n, size_t *i, size_t *begin, size_t *end) {
    size_t at = *i, next = at;
    while (at < n && py_is_space(utf8_next(s, n, &next))) at = next;
    *begin = next = at;
    while (at < n && !py_is_space(utf8_next(s, n, &next))) at = next;
    *end = *i = at;
    return *end > *begin;
}

void py_add_number(buf *b, double x) {
    if (isnan(x) || isinf(x)) {
        buf_puts(b, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    int digits = 1;
    do snprintf(text, sizeof text, "%.*e", digits - 1, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    /* repr writes an exponent only below 1e-4 and from 1e16 on */
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        buf_puts(b, text);
    } else {
        int decimals = digits - 1 - exponent;
        buf_printf(b, "%.*f", decimals > 1 ? decimals : 1, x);
    }
}
