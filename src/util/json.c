/* JSON values through jansson, and our own writer: jansson prints 0.1 with 17 digits
 * (0.10000000000000001) or loses digits; here a real gets the fewest digits that read back. */
#include "util/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

status json_parse(const char *bytes, size_t n, const char *what, json_t **out) {
    json_error_t e;
    json_t *j = json_loadb(bytes, n, JSON_DECODE_ANY, &e);
    if (!j) FAIL(ERR_FORMAT, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
    *out = j;
    return OK;
}

/* Are these digits more than 2^63 - 1? */
static bool is_beyond_64_bits(const char *digits, size_t n) {
    static const char most[] = "9223372036854775807";
    size_t n_most = sizeof most - 1;
    return n > n_most || (n == n_most && memcmp(digits, most, n) > 0);
}

/* The text with quotes around such integers. */
static void quote_long_integers(buf *out, const char *bytes, size_t n) {
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        if (bytes[i] == '"') {
            while (end < n && bytes[end] != '"') end += bytes[end] == '\\' ? 2 : 1;
            end = end < n ? end + 1 : n;
        } else if (bytes[i] == '-' || isdigit((unsigned char)bytes[i])) {
            size_t digits = i + (bytes[i] == '-');
            for (end = digits; end < n && isdigit((unsigned char)bytes[end]);) end++;
            bool is_long = is_beyond_64_bits(bytes + digits, end - digits);
            while (end < n && bytes[end] && strchr("+-.0123456789Ee", bytes[end]))
                end++, is_long = false; /* a real */
            if (is_long) buf_printf(out, "\"%.*s\"", (int)(end - i), bytes + i);
            if (is_long) continue;
        }
        buf_add(out, bytes + i, end - i);
    }
}

json_t *json_load_record(const char *bytes, size_t n, size_t flags, json_error_t *e) {
    json_t *j = json_loadb(bytes, n, flags, e);
    if (j || json_error_code(e) != json_error_numeric_overflow) return j;
    buf text = {0};
    quote_long_integers(&text, bytes, n);
    j = json_loadb(text.at, text.len, flags, e);
    buf_clear(&text);
    return j;
}

status json_read(const char *path, json_t **out) {
    buf text = {0};
    status st = file_read(path, 0, &text);
    if (!st) st = json_parse(text.at, text.len, path, out);
    buf_clear(&text);
    return st;
}

/* ---- writing ---- */

static void add_string(buf *b, const char *s, size_t n) {
    buf_putc(b, '"');
    for (size_t i = 0; i < n;) {
        size_t j = i; /* up to j nothing needs an escape */
        while (j < n && (unsigned char)s[j] >= 0x20 && s[j] != '"' && s[j] != '\\') j++;
        buf_add(b, s + i, j - i);
        if (j < n) {
            switch (s[j]) {
            case '"':
                buf_puts(b, "\\\"");
                break;
            case '\\':
                buf_puts(b, "\\\\");
                break;
            case '\n':
                buf_puts(b, "\\n");
                break;
            case '\r':
                buf_puts(b, "\\r");
                break;
            case '\t':
                buf_puts(b, "\\t");
                break;
            default:
                buf_printf(b, "\\u%04x", (unsigned char)s[j]);
            }
            j++;
        }
        i = j;
    }
    buf_putc(b, '"');
}

static void add_real(buf *b, double x) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    buf_puts(b, text);
    if (!strpbrk(text, ".en")) buf_puts(b, ".0"); /* stays a real when read back */
}

static void new_line(buf *b, int indent, int depth) {
    if (!indent) return;
    buf_printf(b, "\n%*s", indent * depth, "");
}

/* indent 0: all on one line, ", " and ": " between. */
static void add_value(buf *b, const json_t *j, int indent, int depth) {
    const char *between = indent ? "," : ", ";
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        buf_putc(b, '{');
        const char *key;
        json_t *value, *object = (json_t *)j;
        bool first = true;
        json_object_foreach(object, key, value) {
            if (!first) buf_puts(b, between);
            new_line(b, indent, depth + 1);
            add_string(b, key, strlen(key));
            buf_puts(b, ": ");
            add_value(b, value, indent, depth + 1);
            first = false;
        }
        if (!first) new_line(b, indent, depth);
        buf_putc(b, '}');
        break;
    }
    case JSON_ARRAY:
        buf_putc(b, '[');
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i) buf_puts(b, between);
            new_line(b, indent, depth + 1);
            add_value(b, json_array_get(j, i), indent, depth + 1);
        }
        if (json_array_size(j)) new_line(b, indent, depth);
        buf_putc(b, ']');
        break;
    case JSON_STRING:
        add_string(b, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
        break;
    case JSON_REAL:
        add_real(b, json_real_value(j));
        break;
    case JSON_TRUE:
        buf_puts(b, "true");
        break;
    case JSON_FALSE:
        buf_puts(b, "false");
        break;
    case JSON_NULL:
        buf_puts(b, "null");
        break;
    }
}

char *json_line(const json_t *j) {
    buf b = {0};
    add_value(&b, j, 0, 0);
    return buf_steal(&b);
}

status json_save(const char *path, const json_t *j) {
    buf b = {0};
    add_value(&b, j, 2, 0);
    buf_putc(&b, '\n');
    status st = file_write(path, b.at, b.len);
    buf_clear(&b);
    return st;
}

/* ---- fields ---- */

const char *json_str(const json_t *o, const char *key, const char *missing) {
    const json_t *value = json_object_get(o, key);
    return json_is_string(value) ? json_string_value(value) : missing;
}

double json_num(const json_t *o, const char *key, double missing) {
    const json_t *value = json_object_get(o, key);
    return json_is_number(value) ? json_number_value(value) : missing;
}

/* A real that is a whole number (1e3, 5.0) counts: other writers know one kind of number. */
int64_t json_int(const json_t *o, const char *key, int64_t missing) {
    const json_t *value = json_object_get(o, key);
    if (json_is_integer(value)) return json_integer_value(value);
    double x = json_is_real(value) ? json_real_value(value) : NAN;
    return fabs(x) < 0x1p62 && x == floor(x) ? (int64_t)x : missing;
}

bool json_flag(const json_t *o, const char *key, bool missing) {
    const json_t *value = json_object_get(o, key);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

static const char *type_name(const json_t *j) {
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

status json_want_str(const json_t *o, const char *key, const char *what, const char **out) {
    if (!json_is_object(o))
        FAIL(ERR_FORMAT, "%s: is %s, wanted an object", what, o ? type_name(o) : "absent");
    const json_t *value = json_object_get(o, key);
    if (!value) FAIL(ERR_FORMAT, "%s: field '%s' is absent, wanted a string", what, key);
    if (!json_is_string(value))
        FAIL(ERR_FORMAT, "%s: field '%s' is %s, wanted a string", what, key, type_name(value));
    *out = json_string_value(value);
    return OK;
}
