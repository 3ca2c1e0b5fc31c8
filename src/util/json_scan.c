/* The scanner: walks JSON of any size in one window of 64 KiB and hands out the bytes of the
 * values that a path asks for.
 *
 * Idea: a path alternative is a list of steps. Each open container keeps the set (a bit mask)
 * of alternatives whose first `depth` steps led into it; the value that begins next belongs
 * to those whose next step fits, and is a record for those that end there. Where nothing
 * fits, the mask is 0 and nothing but syntax is looked at. Bytes are kept from the beginning
 * of the outermost record that is open, so records may lie inside records.
 *
 * It checks what holds a document together (brackets, commas, colons, strings, literals);
 * what is inside a string is left to the parser that gets the record. Grammar: RFC 8259. */
#include "util/json.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW         ((size_t)1 << 16)
#define RECORD_DEFAULT ((size_t)256 << 20)
#define DEPTH_MOST     512
#define WHICH_MOST     32
#define STEP_MOST      16
#define TOKEN_MOST     1024

typedef struct steps {
    int n;
    char *step[STEP_MOST]; /* "*" or a key; into scan.path */
} steps;

/* A value that is being read: which alternatives want it, and where it began. */
typedef struct value {
    uint32_t inside; /* alternatives that may match below it */
    uint32_t wanted; /* alternatives that end at it */
    size_t begin;    /* in kept, if wanted */
    int64_t line;
    char kind; /* '[', '{' or 's' for a scalar */
} value;

typedef struct scan {
    reader *r;
    json_record_fn fn;
    void *arg;
    size_t max_record;
    char *path;
    steps which[WHICH_MOST];
    int n_which;

    int depth; /* containers open */
    value stack[DEPTH_MOST];
    buf key;  /* the last member's name, decoded */
    buf kept; /* bytes since the outermost open record began */
    int n_open_records;

    int64_t line;
    const uint8_t *at, *end;
    const uint8_t *unkept; /* while a record is open: first byte of the window not yet in kept */
    uint8_t window[WINDOW];
} scan;

#define BROKEN(s, ...) return broken((s), __LINE__, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static status broken(const scan *s, int at, const char *fmt,
                                                           ...) {
    buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    err_set(ERR_FORMAT, __FILE__, at, "%s:%lld: %s", reader_path(s->r), (long long)s->line,
            text.at);
    buf_clear(&text);
    return ERR_FORMAT;
}

/* ---- paths ---- */

static void parse_path(scan *s, const char *path) {
    s->path = xstrdup(path);
    char *rest = s->path, *alternative;
    while ((alternative = strsep(&rest, "|"))) {
        MUST(s->n_which < WHICH_MOST, "path '%s' has over %d alternatives", path, WHICH_MOST);
        steps *p = &s->which[s->n_which++];
        char *step;
        while (*alternative && (step = strsep(&alternative, "."))) {
            MUST(p->n < STEP_MOST && *step, "path '%s': step %d", path, p->n + 1);
            p->step[p->n++] = step;
            if (!alternative) break;
        }
    }
}

/* The sets of the value that begins here. */
static void match(const scan *s, value *v) {
    uint32_t candidates =
        s->depth ? s->stack[s->depth - 1].inside : UINT32_MAX >> (32 - s->n_which);
    v->inside = v->wanted = 0;
    for (int i = 0; candidates >> i; i++) {
        const steps *p = &s->which[i];
        if (!(candidates >> i & 1)) continue;
        if (s->depth) {
            const char *step = p->step[s->depth - 1];
            bool in_array = s->stack[s->depth - 1].kind == '[', is_star = strcmp(step, "*") == 0;
            bool fits = in_array ? is_star
                                 : !is_star && strlen(step) == s->key.len &&
                                       memcmp(step, s->key.at, s->key.len) == 0;
            if (!fits) continue;
        }
        if (p->n == s->depth)
            v->wanted |= (uint32_t)1 << i;
        else
            v->inside |= (uint32_t)1 << i;
    }
}

/* ---- bytes ---- */

/* Moves what belongs to an open record from the window into kept. */
static status keep(scan *s) {
    if (!s->n_open_records) return OK;
    buf_add(&s->kept, s->unkept, (size_t)(s->at - s->unkept));
    s->unkept = s->at;
    if (s->kept.len > s->max_record) BROKEN(s, "a record is larger than %zu bytes", s->max_record);
    return OK;
}

/* The next byte without taking it, -1 at the end of the file. */
static status peek(scan *s, int *c) {
    if (s->at == s->end) {
        TRY(keep(s));
        size_t got;
        TRY(reader_read(s->r, s->window, WINDOW, &got));
        s->at = s->unkept = s->window;
        s->end = s->window + got;
    }
    *c = s->at < s->end ? *s->at : -1;
    return OK;
}

/* The next byte that is not white space, without taking it. */
static status peek_past_space(scan *s, int *c) {
    for (;;) {
        TRY(peek(s, c));
        if (*c == '\n')
            s->line++;
        else if (*c != ' ' && *c != '\t' && *c != '\r')
            return OK;
        s->at++;
    }
}

static status unexpected(const scan *s, int c, const char *wanted) {
    if (c < 0) BROKEN(s, "the file ends, wanted %s", wanted);
    if (c > 32 && c < 127) BROKEN(s, "found '%c', wanted %s", c, wanted);
    BROKEN(s, "found byte 0x%02x, wanted %s", (unsigned)c, wanted);
}

/* ---- scalars ---- */

/* A string, its opening quote next; what is between the quotes, still escaped, goes to text
 * if not NULL. */
static status read_string(scan *s, buf *text) {
    int c;
    for (s->at++;;) {
        TRY(peek(s, &c));
        if (c < 0) BROKEN(s, "the file ends inside a string");
        const uint8_t *from = s->at;
        while (s->at < s->end && *s->at != '"' && *s->at != '\\' && *s->at >= 0x20) s->at++;
        if (text) buf_add(text, from, (size_t)(s->at - from));
        if (text && text->len > s->max_record)
            BROKEN(s, "a name is larger than %zu bytes", s->max_record);
        if (s->at == s->end) continue;
        c = *s->at++;
        if (c == '"') return OK;
        if (c != '\\')
            BROKEN(s, "a string holds the control byte 0x%02x: is its closing quote missing?",
                   (unsigned)c);
        TRY(peek(s, &c));
        if (c < 0x20) continue; /* refused in the next round */
        if (text) buf_add(text, (char[]){'\\', (char)c}, 2);
        s->at++;
    }
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(const char *t) {
    t += *t == '-';
    if (*t == '0')
        t++;
    else {
        size_t n = strspn(t, "0123456789");
        if (!n) return false;
        t += n;
    }
    if (*t == '.') {
        size_t n = strspn(++t, "0123456789");
        if (!n) return false;
        t += n;
    }
    if (*t == 'e' || *t == 'E') {
        t++;
        t += *t == '+' || *t == '-';
        size_t n = strspn(t, "0123456789");
        if (!n) return false;
        t += n;
    }
    return !*t;
}

static bool in_token(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.' || c == '_';
}

/* true, false, null or a number. */
static status read_token(scan *s) {
    char text[TOKEN_MOST];
    size_t n = 0;
    int c;
    for (;; s->at++) {
        TRY(peek(s, &c));
        if (!in_token(c)) break;
        if (n == TOKEN_MOST - 1)
            BROKEN(s, "a number or word is longer than %d bytes", TOKEN_MOST - 1);
        text[n++] = (char)c;
    }
    text[n] = 0;
    if (n == 0) return unexpected(s, c, "a value");
    if (is_number(text) || !strcmp(text, "true") || !strcmp(text, "false") || !strcmp(text, "null"))
        return OK;
    BROKEN(s, "found '%.40s', wanted a value", text);
}

/* ---- structure ---- */

static status end_value(scan *s, const value *v) {
    if (!v->wanted) return OK;
    TRY(keep(s));
    /* The record is the tail of kept, so the string's own NUL ends it. */
    for (int i = 0; v->wanted >> i; i++)
        if (v->wanted >> i & 1)
            TRY(s->fn(s->arg, s->kept.at + v->begin, s->kept.len - v->begin, i, v->line));
    if (--s->n_open_records == 0) buf_reset(&s->kept);
    return OK;
}

/* A member's name and its colon. An escaped name is decoded by jansson. */
static status read_key(scan *s) {
    int c;
    buf_reset(&s->key);
    buf_add(&s->key, "", 0);
    bool matters = s->stack[s->depth - 1].inside != 0;
    TRY(read_string(s, matters ? &s->key : NULL));
    if (memchr(s->key.at, '\\', s->key.len)) {
        char *quoted = xasprintf("\"%s\"", s->key.at);
        json_t *name = json_loads(quoted, JSON_DECODE_ANY, NULL);
        free(quoted);
        if (!name) BROKEN(s, "the name \"%.40s\" has a wrong escape", s->key.at);
        buf_reset(&s->key);
        buf_add(&s->key, json_string_value(name), json_string_length(name));
        json_decref(name);
    }
    TRY(peek_past_space(s, &c));
    if (c != ':') return unexpected(s, c, "':' after a name");
    s->at++;
    return OK;
}

/* A scalar, or the opening of a container. */
static status begin_value(scan *s) {
    int c;
    TRY(peek_past_space(s, &c));
    value v = {.line = s->line, .kind = c == '[' || c == '{' ? (char)c : 's'};
    match(s, &v);
    if (v.wanted) {
        if (s->n_open_records++ == 0) s->unkept = s->at;
        TRY(keep(s));
        v.begin = s->kept.len;
    }
    if (v.kind == 's') {
        TRY(c == '"' ? read_string(s, NULL) : read_token(s));
        return end_value(s, &v);
    }
    if (s->depth == DEPTH_MOST) BROKEN(s, "nested deeper than %d", DEPTH_MOST);
    s->at++;
    s->stack[s->depth++] = v;
    return OK;
}

static status close_container(scan *s) {
    s->at++;
    value v = s->stack[--s->depth];
    return end_value(s, &v);
}

/* One step inside the innermost container: its end, or the next element or member.
 * *fresh says that nothing has been read in it yet. */
static status next_in_container(scan *s, bool *fresh) {
    bool is_array = s->stack[s->depth - 1].kind == '[';
    int c, closing = is_array ? ']' : '}', depth = s->depth;
    TRY(peek_past_space(s, &c));
    if (c == closing) {
        *fresh = false;
        return close_container(s);
    }
    if (!*fresh) {
        if (c != ',') return unexpected(s, c, is_array ? "',' or ']'" : "',' or '}'");
        s->at++;
        TRY(peek_past_space(s, &c));
    }
    if (!is_array) {
        if (c != '"') return unexpected(s, c, "a name in quotes");
        TRY(read_key(s));
    }
    TRY(begin_value(s));
    *fresh = s->depth > depth;
    return OK;
}

static status run(scan *s) {
    int c;
    TRY(peek(s, &c));
    if (s->end - s->at >= 3 && memcmp(s->at, "\xEF\xBB\xBF", 3) == 0)
        s->at += 3; /* byte order mark */
    for (bool fresh = false;;) {
        if (s->depth) {
            TRY(next_in_container(s, &fresh));
            continue;
        }
        TRY(peek_past_space(s, &c));
        if (c < 0) return OK;
        TRY(begin_value(s));
        fresh = s->depth > 0;
    }
}

status json_scan(reader *r, const char *path, size_t max_record, json_record_fn fn, void *arg) {
    scan *s = xcalloc(1, sizeof *s);
    s->r = r;
    s->fn = fn;
    s->arg = arg;
    s->max_record = max_record ? max_record : RECORD_DEFAULT;
    s->line = 1;
    parse_path(s, path);
    status st = run(s);
    buf_clear(&s->key);
    buf_clear(&s->kept);
    free(s->path);
    free(s);
    return st;
}
