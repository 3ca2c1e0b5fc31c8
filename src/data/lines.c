/* Lines in blocks of 64 KiB; fields of tab-separated lines; Python's list literals, which some data
 * sets of the field hold. */
#include "data/lines.h"

#include <stdlib.h>
#include <string.h>

#include "util/json.h"
#include "util/stop.h"
#include "util/unicode.h"

enum { BLOCK = 65536 };

/* ---- lines ---- */

typedef struct lines {
    size_t most;
    line_fn fn;
    void *arg;
    buf line;
    bool too_long;
    int64_t number;
} lines;

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r') return false;
    return true;
}

static status end_line(lines *l) {
    l->number++;
    char *bytes = l->line.at ? l->line.at : "";
    size_t n = l->line.len;
    if (l->number == 1 && n >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) bytes += 3, n -= 3;
    if (n && bytes[n - 1] == '\r') bytes[--n] = 0;
    status st = OK;
    if (l->too_long)
        st = l->fn(l->arg, NULL, 0, l->number);
    else if (!is_blank(bytes, n))
        st = l->fn(l->arg, bytes, n, l->number);
    buf_reset(&l->line);
    l->too_long = false;
    return st;
}

static void add_to_line(lines *l, const char *bytes, size_t n) {
    if (l->line.len + n > l->most) {
        l->too_long = true;
        buf_clear(&l->line);
    }
    if (!l->too_long) buf_add(&l->line, bytes, n);
}

status lines_each(reader *r, size_t most, line_fn fn, void *arg) {
    lines l = {.most = most ? most : (size_t)64 << 20, .fn = fn, .arg = arg};
    char *block = xmalloc(BLOCK);
    bool open = false; /* a line has begun */
    status st = OK;
    for (size_t got; !st;) {
        st = reader_read(r, block, BLOCK, &got);
        if (st || got == 0) break;
        if (stop_requested()) {
            st = err_set(ERR_STOPPED, __FILE__, __LINE__,
                         "%s: reading was stopped; the same "
                         "command goes on",
                         reader_path(r));
            break;
        }
        for (size_t i = 0; i < got && !st;) {
            const char *newline = memchr(block + i, '\n', got - i);
            size_t n = newline ? (size_t)(newline - block) - i : got - i;
            add_to_line(&l, block + i, n);
            i += n + (newline != NULL);
            open = !newline;
            if (newline) st = end_line(&l);
        }
    }
    if (!st && open) st = end_line(&l);
    buf_clear(&l.line);
    free(block);
    return st;
}

/* ---- tab-separated fields ---- */

/* Behind the closing quote of the field that begins with one, or NULL. */
static const char *quoted_field(const char *at, const char *end, buf *out) {
    size_t before = out->len;
    for (at++; at < end; at++) {
        if (*at != '"') {
            buf_putc(out, *at);
        } else if (at + 1 < end && at[1] == '"') {
            buf_putc(out, '"');
            at++;
        } else {
            return at + 1;
        }
    }
    out->len = before;
    if (out->at) out->at[before] = 0;
    return NULL;
}

void tsv_field(const char **at, const char *end, buf *out) {
    const char *p = *at;
    buf_add(out, "", 0);
    if (p < end && *p == '"') {
        const char *behind = quoted_field(p, end, out);
        if (behind) p = behind;
    }
    const char *tab = memchr(p, '\t', (size_t)(end - p));
    const char *stop = tab ? tab : end;
    buf_add(out, p, (size_t)(stop - p));
    *at = tab ? tab + 1 : NULL;
}

/* ---- Python literals ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* digits hexadecimal digits at p as a character; false where there are fewer, or it is none. */
static bool hex_character(const char **p, const char *end, int digits, buf *out) {
    int64_t c = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        int d = *p < end ? hex_digit(**p) : -1;
        if (d < 0) return false;
        c = 16 * c + d;
    }
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return false;
    utf8_put(out, (int32_t)c);
    return true;
}

/* The escape behind a backslash. An unknown one stands for itself, backslash included. */
static bool python_escape(const char **p, const char *end, buf *out) {
    static const char from[] = "\\'\"nrtabfv", to[] = "\\'\"\n\r\t\a\b\f\v";
    if (*p == end) return false;
    char c = *(*p)++;
    const char *known = memchr(from, c, sizeof from - 1);
    if (known)
        buf_putc(out, to[known - from]);
    else if (c == 'x' || c == 'u' || c == 'U')
        return hex_character(p, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    else if (c != '\n') { /* a line end after a backslash vanishes */
        buf_putc(out, '\\');
        buf_putc(out, c);
    }
    return true;
}

static bool python_string(const char **p, const char *end, buf *out) {
    char quote = *(*p)++;
    while (*p < end && **p != quote) {
        char c = *(*p)++;
        if (c != '\\')
            buf_putc(out, c);
        else if (!python_escape(p, end, out))
            return false;
    }
    if (*p == end) return false;
    (*p)++;
    return true;
}

static void skip_blanks(const char **p, const char *end) {
    while (*p < end && strchr(" \t\r\n", **p)) (*p)++;
}

static bool read_list(const char *p, const char *end, json_t *list) {
    skip_blanks(&p, end);
    if (p == end || *p++ != '[') return false;
    buf text = {0};
    bool good = true;
    for (bool first = true; good; first = false) {
        skip_blanks(&p, end);
        if (p < end && *p == ']') break; /* also behind a comma */
        if (!first) {
            good = p < end && *p++ == ',';
            skip_blanks(&p, end);
            if (good && p < end && *p == ']') break;
        }
        if (good && p < end && *p == 'u') p++;
        good = good && p < end && (*p == '\'' || *p == '"');
        buf_reset(&text);
        buf_add(&text, "", 0);
        good = good && python_string(&p, end, &text);
        good = good && json_array_append_new(list, json_stringn(text.at, text.len)) == 0;
    }
    buf_clear(&text);
    if (!good) return false;
    p++;
    skip_blanks(&p, end);
    return p == end;
}

bool python_list(const char *text, size_t n, char **json) {
    json_t *list = json_array();
    bool good = !memchr(text, 0, n) && read_list(text, text + n, list);
    if (good) *json = json_line(list);
    json_decref(list);
    return good;
}
