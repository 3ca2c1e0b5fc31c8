/* Reading qrels and runs, see trec.h. Lines are kept small (32 bytes and their strings once), so
 * that a run of some ten million lines fits in memory; they are sorted once. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/trec_int.h"
#include "util/file.h"

typedef struct field {
    const char *at;
    size_t len;
} field;

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Splits a line at blanks into at most `most` fields; returns how many there are. */
static int split(const char *s, size_t n, field *out, int most) {
    int found = 0;
    for (size_t i = 0; i < n && found < most;) {
        while (i < n && is_blank(s[i])) i++;
        size_t begin = i;
        while (i < n && !is_blank(s[i])) i++;
        if (i > begin) out[found++] = (field){s + begin, i - begin};
    }
    return found;
}

static size_t keep(trec_table *t, field f) {
    size_t at = t->text.len;
    buf_add(&t->text, f.at, f.len);
    buf_putc(&t->text, 0);
    return at;
}

/* The same as the string kept at `last`, mostly: a repeated query id or tag is stored once. */
static size_t keep_once(trec_table *t, size_t last, field f) {
    if (t->text.len) {
        const char *s = t->text.at + last;
        if (strlen(s) == f.len && !memcmp(s, f.at, f.len)) return last;
    }
    return keep(t, f);
}

static void add_line(trec_table *t, field query, field document, double score, int rel) {
    trec_line l = {.score = score, .rel = rel};
    l.query = keep_once(t, t->n ? t->lines[t->n - 1].query : 0, query);
    l.document = keep(t, document);
    GROW(t->lines, t->n, t->cap);
    t->lines[t->n++] = l;
}

/* A number that is the whole field; false otherwise. Fields are not NUL-terminated. */
static bool field_copy(field f, char *out, size_t size) {
    if (f.len >= size) return false;
    memcpy(out, f.at, f.len);
    out[f.len] = 0;
    return strlen(out) == f.len;
}

static bool field_int(field f, int *out) {
    char text[32], *end;
    if (!field_copy(f, text, sizeof text)) return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || errno || v < INT_MIN || v > INT_MAX) return false;
    *out = (int)v;
    return true;
}

static bool field_double(field f, double *out) {
    char text[512], *end;
    if (!field_copy(f, text, sizeof text)) return false;
    *out = strtod(text, &end);
    return !*end && !isnan(*out);
}

static int shown(field f) {
    return f.len < 80 ? (int)f.len : 80;
}

typedef status (*line_fn)(trec_table *t, const char *name, int64_t line, const char *s, size_t n);

static status qrels_line(trec_table *t, const char *name, int64_t line, const char *s, size_t n) {
    field f[5];
    int found = split(s, n, f, 5), rel;
    if (found == 0 || s[0] == '#') return OK;
    if (found != 4)
        FAIL(ERR_FORMAT, "%s:%lld: %s4 fields; wanted 'query iteration document relevance'", name,
             (long long)line, found < 4 ? "fewer than " : "more than ");
    if (!field_int(f[3], &rel))
        FAIL(ERR_FORMAT, "%s:%lld: relevance is '%.*s', wanted an integer", name, (long long)line,
             shown(f[3]), f[3].at);
    add_line(t, f[0], f[2], 0, rel);
    return OK;
}

static status run_line(trec_table *t, const char *name, int64_t line, const char *s, size_t n) {
    field f[6];
    double score;
    int found = split(s, n, f, 6);
    if (found == 0 || s[0] == '#') return OK;
    if (found != 6)
        FAIL(ERR_FORMAT, "%s:%lld: %d fields; wanted 'query Q0 document rank score tag'", name,
             (long long)line, found);
    if (!field_double(f[4], &score))
        FAIL(ERR_FORMAT, "%s:%lld: score is '%.*s', wanted a number", name, (long long)line,
             shown(f[4]), f[4].at);
    add_line(t, f[0], f[2], score, 0);
    t->tag = keep_once(t, t->tag, f[5]);
    return OK;
}

static int by_query_document(const void *a, const void *b, void *text) {
    const trec_line *x = a, *y = b;
    const char *s = text;
    int order = x->query == y->query ? 0 : strcmp(s + x->query, s + y->query);
    return order ? order : strcmp(s + x->document, s + y->document);
}

/* Sorts, then refuses a document that stands twice in a query: it would count twice. */
static status table_finish(trec_table *t, const char *name, const char *wanted) {
    if (!t->n) FAIL(ERR_FORMAT, "%s: no lines found; wanted '%s'", name, wanted);
    qsort_r(t->lines, (size_t)t->n, sizeof *t->lines, by_query_document, t->text.at);
    for (int64_t i = 1; i < t->n; i++)
        if (!by_query_document(&t->lines[i - 1], &t->lines[i], t->text.at))
            FAIL(ERR_FORMAT, "%s: document '%s' stands twice in query '%s'; keep one line", name,
                 t->text.at + t->lines[i].document, t->text.at + t->lines[i].query);
    return OK;
}

static status table_read(trec_table *t, const char *path, line_fn fn, const char *wanted) {
    reader *r = NULL;
    TRY(reader_open(path, &r));
    buf line = {0};
    bool more = true;
    status st = OK;
    while (!(st = reader_line(r, &line, &more)) && more)
        if ((st = fn(t, path, reader_line_number(r), line.at ? line.at : "", line.len))) break;
    buf_clear(&line);
    reader_close(r);
    return st ? st : table_finish(t, path, wanted);
}

static status table_parse(trec_table *t, const char *name, const char *s, size_t n, line_fn fn,
                          const char *wanted) {
    int64_t line = 1;
    for (size_t i = 0; i < n; line++) {
        const char *newline = memchr(s + i, '\n', n - i);
        size_t end = newline ? (size_t)(newline - s) : n;
        TRY(fn(t, name, line, s + i, end - i));
        i = end + 1;
    }
    return table_finish(t, name, wanted);
}

static void table_clear(trec_table *t) {
    buf_clear(&t->text);
    free(t->lines);
}

static const char qrels_wanted[] = "query iteration document relevance";
static const char run_wanted[] = "query Q0 document rank score tag";

status trec_qrels_read(const char *path, trec_qrels **out) {
    trec_qrels *q = xcalloc(1, sizeof *q);
    status st = table_read(&q->t, path, qrels_line, qrels_wanted);
    if (st)
        trec_qrels_free(q);
    else
        *out = q;
    return st;
}

status trec_qrels_parse(const char *name, const char *bytes, size_t n, trec_qrels **out) {
    trec_qrels *q = xcalloc(1, sizeof *q);
    status st = table_parse(&q->t, name, bytes, n, qrels_line, qrels_wanted);
    if (st)
        trec_qrels_free(q);
    else
        *out = q;
    return st;
}

status trec_run_read(const char *path, trec_run **out) {
    trec_run *r = xcalloc(1, sizeof *r);
    status st = table_read(&r->t, path, run_line, run_wanted);
    if (st)
        trec_run_free(r);
    else
        *out = r;
    return st;
}

status trec_run_parse(const char *name, const char *bytes, size_t n, trec_run **out) {
    trec_run *r = xcalloc(1, sizeof *r);
    status st = table_parse(&r->t, name, bytes, n, run_line, run_wanted);
    if (st)
        trec_run_free(r);
    else
        *out = r;
    return st;
}

void trec_qrels_free(trec_qrels *q) {
    if (!q) return;
    table_clear(&q->t);
    free(q);
}

void trec_run_free(trec_run *r) {
    if (!r) return;
    table_clear(&r->t);
    free(r);
}

int64_t trec_qrels_count(const trec_qrels *q) {
    return q->t.n;
}

void trec_qrels_at(const trec_qrels *q, int64_t i, const char **query, const char **document,
                   int *rel) {
    MUST(i >= 0 && i < q->t.n, "i=%lld n=%lld", (long long)i, (long long)q->t.n);
    const trec_line *l = &q->t.lines[i];
    *query = q->t.text.at + l->query;
    *document = q->t.text.at + l->document;
    *rel = l->rel;
}
