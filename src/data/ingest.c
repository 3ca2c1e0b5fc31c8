#include "data/ingest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/log.h"
#include "util/stop.h"
#include "util/unicode.h"

/* ---- the table of formats ---- */

#define FORMAT(name, about)                                                                        \
    int name##_knows(const char *path, const char *head, size_t n);                                \
    status name##_read(ingest_file *f);
#include "data/formats.def"
#undef FORMAT

static const ingest_format formats[] = {
#define FORMAT(name, about) {#name, about, name##_knows, name##_read},
#include "data/formats.def"
#undef FORMAT
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const char *ingest_format_names(void) {
    return "auto"
#define FORMAT(name, about) ", " #name
#include "data/formats.def"
#undef FORMAT
        ;
}

static const ingest_format *find_format(const char *name) {
    for (int i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

/* ---- the job ---- */

struct ingest {
    store *s;
    const ingest_options *o;
    const ingest_format *format; /* NULL: auto */
    ingest_report *out;
    int64_t skips_cap, in_transaction;
    double committed_s;
    bool open;
    progress bar;
    int64_t n_records;
};

enum { COMMIT_RECORDS = 500, MOST_SKIPS = 1000, HEAD_BYTES = 65536 };

void ingest_report_clear(ingest_report *r) {
    for (int64_t i = 0; i < r->n_skips; i++) {
        free(r->skips[i].path);
        free(r->skips[i].reason);
    }
    free(r->skips);
    *r = (ingest_report){0};
}

static void add_skip(ingest *in, const char *path, char *reason) {
    log_warn("%s: skipped: %s", path, reason);
    if (in->out->n_skips == MOST_SKIPS) {
        free(reason);
        return;
    }
    GROW(in->out->skips, in->out->n_skips, in->skips_cap);
    in->out->skips[in->out->n_skips++] = (ingest_skip){xstrdup(path), reason};
}

void ingest_skip_record(ingest_file *f, const char *fmt, ...) {
    buf reason = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&reason, fmt, ap);
    va_end(ap);
    add_skip(f->in, f->path, buf_steal(&reason));
}

static status commit(ingest *in) {
    if (!in->open) return OK;
    in->open = false;
    in->in_transaction = 0;
    return store_commit(in->s);
}

/* Opens a transaction where none is, closes a full one. */
static status count_record(ingest *in) {
    progress_update(&in->bar, ++in->n_records);
    if (++in->in_transaction >= COMMIT_RECORDS || now_s() - in->committed_s > 2) {
        TRY(commit(in));
        in->committed_s = now_s();
    }
    if (stop_requested()) {
        TRY(commit(in));
        FAIL(ERR_STOPPED, "stopped while reading; what was read is kept, the same command goes on");
    }
    return OK;
}

static status begin(ingest *in) {
    if (in->open) return OK;
    TRY(store_begin(in->s));
    in->open = true;
    return OK;
}

static void count_change(ingest_counts *c, store_change change) {
    if (change == STORE_ADDED) c->added++;
    if (change == STORE_UNCHANGED) c->unchanged++;
    if (change == STORE_REPLACED) c->replaced++;
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\v\f", s[i])) return false;
    return true;
}

status ingest_document(ingest_file *f, const store_document *d) {
    ingest *in = f->in;
    const char *what = d->id ? d->id : d->uri ? d->uri : "a document";
    int64_t bad = utf8_invalid_at(d->text, d->text_bytes);
    if (bad >= 0 || memchr(d->text, 0, d->text_bytes) || is_blank(d->text, d->text_bytes)) {
        in->out->documents.skipped++;
        if (bad >= 0)
            ingest_skip_record(
                f, "%s: not UTF-8 (byte %ld is malformed); convert it, for example with iconv",
                what, (long)bad);
        else
            ingest_skip_record(f, "%s: %s", what,
                               memchr(d->text, 0, d->text_bytes)
                                   ? "holds NUL bytes: binary, not text"
                                   : "has no text");
        return OK;
    }
    store_document full = *d;
    full.path = f->path;
    full.format = f->format;
    store_change change;
    TRY(begin(in));
    TRY(store_put_document(in->s, &full, &change, NULL));
    count_change(&in->out->documents, change);
    return count_record(in);
}

status ingest_question(ingest_file *f, const store_question *q) {
    ingest *in = f->in;
    if (is_blank(q->question, strlen(q->question))) {
        in->out->questions.skipped++;
        ingest_skip_record(f, "question %s is empty", q->id ? q->id : "without id");
        return OK;
    }
    store_question full = *q;
    full.split = f->split;
    full.path = f->path;
    full.format = f->format;
    store_change change;
    TRY(begin(in));
    TRY(store_put_question(in->s, &full, &change));
    count_change(&in->out->questions, change);
    return count_record(in);
}

/* ---- files ---- */

static status read_head(const char *path, char *head, size_t *n) {
    reader *r = NULL;
    TRY(reader_open(path, &r));
    status st = reader_read(r, head, HEAD_BYTES - 1, n);
    head[*n] = 0;
    reader_close(r);
    return st;
}

static const ingest_format *guess_format(const char *path, const char *head, size_t n) {
    const ingest_format *best = NULL;
    int most = 0;
    for (int i = 0; i < N_FORMATS; i++) {
        int sure = formats[i].knows(path, head, n);
        if (sure > most) most = sure, best = &formats[i];
    }
    return best;
}

/* The split that a file's name says: "dev-v1.1.json", "questions.test.jsonl", "qrels/test.tsv". */
static store_split split_of_name(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    char word[32];
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "._- ");
        if (n > 0 && n < sizeof word) {
            store_split split;
            memcpy(word, p, n);
            word[n] = 0;
            if (store_split_parse(word, &split)) return split;
        }
        p += n + (p[n] != 0);
    }
    return SPLIT_TRAIN;
}

static status read_file(void *arg, const char *path) {
    ingest *in = arg;
    ingest_file f = {.in = in, .path = path, .split_given = in->o->split >= 0};
    f.split = f.split_given ? (store_split)in->o->split : split_of_name(path);
    const ingest_format *format = in->format;
    if (!format && strcmp(path, "-") != 0) {
        char *head = xmalloc(HEAD_BYTES);
        size_t n = 0;
        status st = read_head(path, head, &n);
        if (!st) format = guess_format(path, head, n);
        free(head);
        if (st) {
            in->out->documents.skipped++;
            ingest_skip_record(&f, "%s", err_msg());
            return OK;
        }
        if (!format) {
            in->out->documents.skipped++;
            ingest_skip_record(&f,
                               n == 0 ? "the file is empty"
                                      : "binary or of an unknown format; wanted one of: %s",
                               ingest_format_names());
            return OK;
        }
    }
    if (!format) format = find_format("text");
    f.format = format->name;
    status st = format->read(&f);
    if (st == ERR_FORMAT ||
        st == ERR_IO) { /* this file's trouble: what it gave so far stays, the others go on */
        in->out->documents.skipped++;
        ingest_skip_record(&f, "%s", err_msg());
        return OK;
    }
    return st;
}

static status read_path(ingest *in, const char *path) {
    if (strcmp(path, "-") == 0) return read_file(in, path);
    if (!file_exists(path)) FAIL(ERR_ARG, "%s: no such file or folder", path);
    return file_walk(path, read_file, in);
}

status ingest_paths(store *s, const char *const *paths, int n, const ingest_options *o,
                    ingest_report *out) {
    ingest in = {.s = s, .o = o, .out = out, .committed_s = now_s()};
    if (o->format && strcmp(o->format, "auto") != 0) {
        in.format = find_format(o->format);
        if (!in.format)
            FAIL(ERR_ARG, "unknown format '%s', wanted one of: %s", o->format,
                 ingest_format_names());
    }
    progress_begin(&in.bar, "reading", "records", -1);
    status st = OK;
    for (int i = 0; i < n && !st; i++) st = read_path(&in, paths[i]);
    progress_end(&in.bar);
    status end = st && st != ERR_STOPPED && st != ERR_ARG ? OK : commit(&in);
    if (in.open) store_rollback(s);
    return st ? st : end;
}
