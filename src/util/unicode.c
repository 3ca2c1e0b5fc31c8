/* Unicode on top of utf8proc (its tables: Unicode 13). Plain ASCII, most of most text, never
 * reaches the library. */
#include "util/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define REPLACEMENT 0xFFFD

/* Length of the well-formed sequence at s, 0 when there is none, by the table of
 * well-formed byte sequences (The Unicode Standard, table 3-7). */
static size_t sequence(const uint8_t *s, size_t n) {
    uint8_t c = s[0];
    if (c < 0x80) return 1;
    size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || size > n) return 0;
    uint8_t least = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80; /* else overlong */
    uint8_t most = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;  /* else surrogate, too large */
    if (s[1] < least || s[1] > most) return 0;
    for (size_t i = 2; i < size; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return size;
}

int64_t utf8_invalid_at(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t size = sequence((const uint8_t *)s + i, n - i);
        if (!size) return (int64_t)i;
        i += size;
    }
    return -1;
}

/* The code point of the well-formed sequence of this size at s. */
static int32_t decode(const uint8_t *s, size_t size) {
    switch (size) {
    case 1:
        return s[0];
    case 2:
        return (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    case 3:
        return (s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    default:
        return (s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
    }
}

/* A malformed byte reads as U+FFFD, so that a wrong promise never reads out of bounds. */
int32_t utf8_next(const char *s, size_t n, size_t *i) {
    MUST(*i < n, "i=%zu n=%zu", *i, n);
    const uint8_t *at = (const uint8_t *)s + *i;
    size_t size = sequence(at, n - *i);
    *i += size ? size : 1;
    return size ? decode(at, size) : REPLACEMENT;
}

int utf8_write(int32_t c, char out[4]) {
    if (c < 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = REPLACEMENT;
    int n = 0;
    if (c < 0x80) {
        out[n++] = (char)c;
        return n;
    }
    if (c < 0x800) {
        out[n++] = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            out[n++] = (char)(0xE0 | c >> 12);
        } else {
            out[n++] = (char)(0xF0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 0x3F));
        }
        out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
    }
    out[n++] = (char)(0x80 | (c & 0x3F));
    return n;
}

void utf8_put(buf *b, int32_t c) {
    char bytes[4];
    buf_add(b, bytes, (size_t)utf8_write(c, bytes));
}

/* Every byte that does not continue a sequence begins a code point. */
static bool begins(char c) {
    return ((uint8_t)c & 0xC0) != 0x80;
}

int64_t utf8_length(const char *s, size_t n) {
    int64_t length = 0;
    for (size_t i = 0; i < n; i++) length += begins(s[i]);
    return length;
}

size_t utf8_offset(const char *s, size_t n, int64_t k) {
    for (size_t i = 0; i < n; i++)
        if (begins(s[i]) && k-- == 0) return i;
    return n;
}

char_class utf8_class(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return CHAR_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return CHAR_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return CHAR_NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return CHAR_SPACE;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return CHAR_PUNCT;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return CHAR_SYMBOL;
    default:
        return CHAR_CONTROL; /* Cc, Cf, Cs, Co and unassigned */
    }
}

int32_t utf8_lower(int32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return utf8proc_tolower(c);
}

bool utf8_is_upper(int32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z';
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}

bool utf8_is_control(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

bool utf8_is_mark_alone(int32_t c) {
    return c >= 0x300 && utf8proc_category(c) == UTF8PROC_CATEGORY_MN;
}

int utf8_decompose(int32_t c, int32_t *out) {
    out[0] = c;
    if (c < 0xC0) return 1;
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(c, out, UTF8_PARTS,
                                                 UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    MUST(n > 0 && n <= UTF8_PARTS, "U+%04X has %zd parts", (unsigned)c, (ssize_t)n);
    return (int)n;
}

void utf8_add_lower(buf *b, const char *s, size_t n) {
    for (size_t i = 0; i < n;) utf8_put(b, utf8_lower(utf8_next(s, n, &i)));
}
static utf8proc_option_t form_options(utf8_form form) {
    static const utf8proc_option_t options[] = {
        [UTF8_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [UTF8_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [UTF8_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
        [UTF8_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    };
    return options[form];
}

/* One stretch with something outside ASCII in it; well-formed. */
static void add_stretch(buf *b, const char *s, size_t n, utf8proc_option_t options) {
    const uint8_t *bytes = (const uint8_t *)s;

    utf8proc_ssize_t length = utf8proc_decompose(bytes, (utf8proc_ssize_t)n, NULL, 0, options);
    MUST(length >= 0, "utf8proc: %s", utf8proc_errmsg(length));
    int32_t *points = xmalloc((size_t)length * sizeof *points);
    utf8proc_decompose(bytes, (utf8proc_ssize_t)n, points, length, options);
    length = utf8proc_normalize_utf32(points, length, options);
    for (utf8proc_ssize_t i = 0; i < length; i++) utf8_put(b, points[i]);
    free(points);
}

/* Normalisation never joins an ASCII character to what stands before it, so the text may be
 * cut in front of any: runs of ASCII are copied, and a stretch to normalise is the last ASCII
 * character before a run of others (a mark may follow it) and that run. */
void utf8_add_form(buf *b, const char *s, size_t n, utf8_form form) {
    buf clean = {0};
    if (utf8_invalid_at(s, n) >= 0) {
        for (size_t i = 0; i < n;) utf8_put(&clean, utf8_next(s, n, &i));
        s = clean.at;
        n = clean.len;
    }
    utf8proc_option_t options = form_options(form);
    for (size_t i = 0; i < n;) {
        size_t j = i;
        while (j < n && (uint8_t)s[j] < 0x80) j++;
        size_t keep = j - i - (j < n && j > i);
        buf_add(b, s + i, keep);
        i += keep;
        while (j < n && (uint8_t)s[j] >= 0x80) j++;
        if (j > i) add_stretch(b, s + i, j - i, options);
        i = j;
    }
    buf_clear(&clean);
}
