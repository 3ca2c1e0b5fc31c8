#ifndef RAGLAN_UTIL_UNICODE_H
#define RAGLAN_UTIL_UNICODE_H
/* Unicode: the one door to utf8proc. */
#include "util/mem.h"

/* Byte offset of the first malformed UTF-8 sequence (overlong, surrogate, beyond U+10FFFF), or
 * -1. */
int64_t utf8_invalid_at(const char *s, size_t n);
/* Next code point of well-formed text; *i moves past it. */
int32_t utf8_next(const char *s, size_t n, size_t *i);
void utf8_put(buf *b, int32_t c);
int utf8_write(int32_t c, char out[4]);       /* the bytes that utf8_put adds; how many */
int64_t utf8_length(const char *s, size_t n); /* code points */
/* Byte offset of code point number k (n when beyond): offsets in data sets count code points. */
size_t utf8_offset(const char *s, size_t n, int64_t k);

typedef enum char_class {
    CHAR_LETTER,
    CHAR_MARK,
    CHAR_NUMBER,
    CHAR_SPACE,
    CHAR_CONTROL,
    CHAR_PUNCT,
    CHAR_SYMBOL
} char_class;
char_class utf8_class(int32_t c); /* L*, M*, N*, Z*, C*, P*, S* */
int32_t utf8_lower(int32_t c);    /* simple case mapping */
bool utf8_is_upper(int32_t c);
bool utf8_is_control(int32_t c);    /* Cc, Cf, Co: what is assigned and shows nothing */
bool utf8_is_mark_alone(int32_t c); /* Mn: an accent that takes no room of its own */
/* The character's canonical decomposition (its part in NFD), itself where there is none; out has
 * room for UTF8_PARTS. Returns how many. */
enum { UTF8_PARTS = 8 };
int utf8_decompose(int32_t c, int32_t *out);
/* Appends s lower-cased / in NFD / NFC / NFKC form. Malformed bytes become U+FFFD. */
void utf8_add_lower(buf *b, const char *s, size_t n);
typedef enum utf8_form { UTF8_NFD, UTF8_NFC, UTF8_NFKD, UTF8_NFKC } utf8_form;
void utf8_add_form(buf *b, const char *s, size_t n, utf8_form form);
#endif
