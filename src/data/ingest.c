/* Records into the store: what is malformed is left out and said, what was met before is not
 * stored twice, and transactions hold whole files, or parts of a long one. */
#include "data/ingest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "data/ingest_int.h"
#include "util/hash.h"
#include "util/json.h"
#include "util/shell.h"
#include "util/stop.h"
#include "util/unicode.h"

enum { COMMIT_RECORDS = 2000, COMMIT_S = 2, MOST_SKIPS = 1000, MOST_SKIPS_OF_FILE = 20 };

void ingest_report_clear(ingest_report *r) {
    for (int64_t i = 0; i < r->n_skips; i++) {
        free(r->skips[i].path);
        free(r->skips[i].reason);
    }
    free(r->skips);
    *r = (ingest_report){0};
}

ingest_report *ingest_counts_of(ingest_file *f) {
    return f->in->out;
}

/* A file whose every record is bad is named some times, not in each. */
static void say(ingest_file *f, const char *fmt, va_list ap) {
    ingest *in = f->in;
    uint64_t file = hash64(f->path, strlen(f->path));
    buf reason = {0};
    if (f->line) buf_printf(&reason, "line %lld: ", (long long)f->line);
    buf_vprintf(&reason, fmt, ap);
    in->n_said++;
    in->skips_of_file = file == in->skipped_file ? in->skips_of_file + 1 : 1;
    in->skipped_file = file;
    if (in->skips_of_file <= MOST_SKIPS_OF_FILE && in->out->n_skips < MOST_SKIPS) {
        log_warn("%s: skipped: %s%s", strcmp(f->path, "-") ? f->path : "standard input", reason.at,
                 in->skips_of_file == MOST_SKIPS_OF_FILE
                     ? " (further records of this file are counted, not named)"
                     : "");
        GROW(in->out->skips, in->out->n_skips, in->skips_cap);
        in->out->skips[in->out->n_skips++] = (ingest_skip){xstrdup(f->path), buf_steal(&reason)};
    }
    buf_clear(&reason);
}

void ingest_skip_record(ingest_file *f, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(f, fmt, ap);
    va_end(ap);
    f->in->n_unread++;
}

void ingest_remark(ingest_file *f, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say(f, fmt, ap);
    va_end(ap);
}

/* ---- transactions ---- */

static status commit(ingest *in) {
    if (!in->open) return OK;
    in->open = false;
    in->in_transaction = in->in_file = 0;
    in->committed_s = in->file_s = now_s();
    return in->failed = store_commit(in->s);
}

status ingest_commit_when_due(ingest *in, bool in_file) {
    int64_t n = in_file ? in->in_file : in->in_transaction;
    double since = in_file ? in->file_s : in->committed_s;
    return n >= COMMIT_RECORDS || now_s() - since > COMMIT_S ? commit(in) : OK;
}

static status begin(ingest *in) {
    if (in->open) return OK;
    in->failed = store_begin(in->s);
    in->open = !in->failed;
    return in->failed;
}

static status count_record(ingest *in, ingest_counts *c, store_change change) {
    if (change == STORE_ADDED) c->added++;
    if (change == STORE_UNCHANGED) c->unchanged++;
    if (change == STORE_REPLACED) c->replaced++;
    progress_update(&in->bar, ++in->n_records);
    in->in_transaction++;
    in->in_file++;
    TRY(ingest_commit_when_due(in, true));
    if (stop_requested()) {
        TRY(commit(in));
        FAIL(ERR_STOPPED, "stopped while reading; what was read is kept, the same command goes on");
    }
    return OK;
}

/* A refusal of one record's values is that record's; all else is the store's trouble. */
static status refused(ingest_file *f, status st, ingest_counts *c) {
    if (st != ERR_ARG) return f->in->failed = st;
    c->skipped++;
    ingest_skip_record(f, "%s", err_msg());
    err_clear();
    return OK;
}

/* ---- what was met before in this run ---- */

static uint64_t *met_slot(const ingest *in, uint64_t h) {
    int64_t i = (int64_t)(h >> 1) & (in->cap_met - 1);
    while (in->met[i] && in->met[i] != h) i = (i + 1) & (in->cap_met - 1);
    return &in->met[i];
}

/* An open hash table of hashes, at most half full. At MET_MOST it begins anew: memory is bounded,
 * and an id that was forgotten is merely met for the first time again. */
static void met_grow(ingest *in) {
    uint64_t *old = in->met;
    int64_t n_old = in->cap_met;
    in->cap_met = n_old == 0 ? 1 << 12 : n_old < MET_MOST ? 2 * n_old : MET_MOST;
    in->met = xcalloc((size_t)in->cap_met, sizeof *in->met);
    if (n_old == MET_MOST) in->n_met = 0;
    for (int64_t i = 0; i < n_old && n_old < MET_MOST; i++)
        if (old[i]) *met_slot(in, old[i]) = old[i];
    free(old);
}

bool ingest_met(ingest_file *f, const char *what, const char *name) {
    ingest *in = f->in;
    if (2 * in->n_met >= in->cap_met) met_grow(in);
    uint64_t h = (hash64(name, strlen(name)) ^ hash64(what, strlen(what))) | 1;
    uint64_t *slot = met_slot(in, h);
    bool known = *slot == h;
    in->n_met += !known;
    *slot = h;
    return known;
}

static arena *scratch(ingest *in) {
    if (!in->scratch) in->scratch = arena_new(0);
    arena_reset(in->scratch, 0);
    return in->scratch;
}

/* ---- documents ---- */

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\v\f", s[i])) return false;
    return true;
}

/* Why a text cannot be kept; NULL: it can. Lives until the next call with this buffer. */
static const char *fault_of(const char *text, size_t n, buf *reason) {
    int64_t bad = utf8_invalid_at(text, n);
    if (bad >= 0) {
        buf_printf(reason, "not UTF-8 (byte %lld is malformed); convert it, for example with iconv",
                   (long long)bad);
        return reason->at;
    }
    if (memchr(text, 0, n)) return "holds NUL bytes: binary, not text";
    return is_blank(text, n) ? "has no text" : NULL;
}

/* The id was met before in this run: the same text again, or another one? */
static status put_document_again(ingest_file *f, const store_document *d, bool *done) {
    ingest *in = f->in;
    store_document old;
    *done = false;
    in->failed = store_find_document(in->s, d->id, scratch(in), &old, done);
    if (in->failed || !*done) return in->failed;
    store_keys_add(&in->documents, old.key);
    if (old.text_bytes == d->text_bytes && memcmp(old.text, d->text, d->text_bytes) == 0) {
        if (strcmp(old.path ? old.path : "", d->path ? d->path : "") == 0)
            return count_record(in, &in->out->documents, STORE_UNCHANGED);
        *done = false; /* its source is noted */
        return OK;
    }
    in->out->documents.skipped++;
    ingest_remark(f, "id %s stands twice, with different texts; the first one is kept", d->id);
    return OK;
}

status ingest_document(ingest_file *f, const store_document *d) {
    return ingest_document_of(f, f->path, d);
}

status ingest_document_of(ingest_file *f, const char *path, const store_document *d) {
    ingest *in = f->in;
    ingest_counts *c = &in->out->documents;
    buf reason = {0};
    const char *fault = fault_of(d->text, d->text_bytes, &reason);
    if (fault) {
        const char *name = d->id && *d->id ? d->id : d->uri;
        bool named = name && strcmp(name, f->path) != 0;
        c->skipped++;
        ingest_skip_record(f, "%s%s%s", named ? name : "", named ? ": " : "", fault);
        buf_clear(&reason);
        return OK;
    }
    store_document full = *d;
    full.path = path;
    full.format = f->format;
    store_change change;
    TRY(begin(in));
    if (d->id && *d->id && ingest_met(f, "document", d->id)) {
        bool done;
        TRY(put_document_again(f, d, &done));
        if (done) return OK;
    }
    int64_t key;
    status st = store_put_document(in->s, &full, &change, &key);
    if (st) return refused(f, st, c);
    store_keys_add(&in->documents, key);
    return count_record(in, c, change);
}

/* ---- questions ---- */

/* As the store names a question without an id. */
static void question_id(const store_question *q, char hex[41]) {
    const char *documents = q->documents ? q->documents : "[]";
    sha1 *h = sha1_new();
    sha1_add(h, q->question, strlen(q->question) + 1);
    sha1_add(h, documents, strlen(documents) + 1);
    sha1_end(h, hex);
}

/* Adds the strings of list `more` that `list` lacks; true if there were any. */
static bool unite(json_t *list, const char *more, const char *what) {
    json_t *other = NULL;
    bool grown = false;
    if (!more || json_parse(more, strlen(more), what, &other)) {
        err_clear(); /* the store says what is wrong with it */
        return false;
    }
    size_t i;
    json_t *item;
    json_array_foreach(other, i, item) {
        bool known = false;
        for (size_t k = 0; k < json_array_size(list); k++)
            known |= json_equal(json_array_get(list, k), item);
        if (!known) json_array_append(list, item);
        grown |= !known;
    }
    json_decref(other);
    return grown;
}

/* The same question in another file, or in this one again. Sets *done where nothing is left to
 * put; else *q has the lists of both. */
static status meet_again(ingest_file *f, store_question *q, bool met, const store_question *old,
                         json_t *answers, json_t *documents, bool *done) {
    ingest_counts *c = &f->in->out->questions;
    bool same_file = strcmp(old->path, f->path) == 0, same_split = old->split == q->split;
    bool same_text = strcmp(old->question, q->question) == 0;
    if (!met && (same_file || !same_text || !same_split)) return OK; /* changed since */
    unite(answers, old->answers, "answers");
    unite(documents, old->documents, "documents");
    bool more_answers = unite(answers, q->answers, "answers");
    bool more = unite(documents, q->documents, "documents") || more_answers;
    *done = true;
    if (same_text && same_split && !more && same_file)
        return count_record(f->in, c, STORE_UNCHANGED);
    if (same_text && same_split && (met || !more) && !same_file) { /* the source is noted */
        *done = false;
        return OK;
    }
    if (!met) { /* it may have changed: put as it is now */
        *done = false;
        json_array_clear(answers);
        json_array_clear(documents);
        return OK;
    }
    c->skipped++;
    ingest_remark(f, "question %s stands twice, %s; the first one is kept", q->id,
                  !same_text    ? "with different texts"
                  : !same_split ? "in different splits"
                                : "with different answers or documents");
    return OK;
}

static status put_question(ingest_file *f, store_question *q) {
    ingest *in = f->in;
    bool met = ingest_met(f, "question", q->id), found = false, done = false;
    json_t *answers = json_array(), *documents = json_array();
    char *answer_list = NULL, *document_list = NULL;
    store_question old;
    status st = in->failed = store_find_question(in->s, q->id, scratch(in), &old, &found);
    if (!st && found && !q->full_answer && strcmp(old.question, q->question) == 0)
        q->full_answer = old.full_answer; /* a sentence that was made later is kept */
    if (!st && found) store_keys_add(&in->questions, old.key);
    if (!st && found) st = meet_again(f, q, met, &old, answers, documents, &done);
    if (!st && !done) {
        if (json_array_size(answers)) q->answers = answer_list = json_line(answers);
        if (json_array_size(documents)) q->documents = document_list = json_line(documents);
        store_change change;
        int64_t key;
        st = store_put_question(in->s, q, &change, &key);
        if (!st) store_keys_add(&in->questions, key);
        st = st ? refused(f, st, &in->out->questions)
                : count_record(in, &in->out->questions, change);
    }
    free(answer_list);
    free(document_list);
    json_decref(answers);
    json_decref(documents);
    return st;
}

status ingest_question(ingest_file *f, const store_question *q) {
    ingest *in = f->in;
    if (is_blank(q->question, strlen(q->question))) {
        in->out->questions.skipped++;
        ingest_skip_record(f, "question %s is empty", q->id ? q->id : "without id");
        return OK;
    }
    store_question full = *q;
    char id[41];
    question_id(q, id);
    if (!q->id || !*q->id) full.id = id;
    full.split = f->split;
    full.path = f->path;
    full.format = f->format;
    TRY(begin(in));
    return put_question(f, &full);
}

/* ---- what a file no longer holds ---- */

status ingest_forget_rest(ingest_file *f, bool whole) {
    ingest *in = f->in;
    store_removed gone;
    if (f->is_stream) return OK;
    TRY(begin(in));
    TRY(in->failed =
            store_remove_rest(in->s, f->path, &in->documents, &in->questions, !whole, &gone));
    long long n = (long long)(gone.documents + gone.questions);
    if (whole) {
        in->out->documents.removed += gone.documents;
        in->out->questions.removed += gone.questions;
    } else if (n) {
        char *word = shell_word(f->path);
        ingest_remark(f,
                      "kept %lld record%s that it held before, for not all of it could be read; "
                      "mend it and read it again, or take them away: raglan remove %s",
                      n, plural(n), word);
        free(word);
    }
    return OK;
}

/* ---- the job ---- */

/* A path that is not there is no reason to leave the others unread, but one to fail in the end. */
static status read_paths(ingest *in, const char *const *paths, int n) {
    const char *missing = NULL;
    int n_missing = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(paths[i], "-") == 0 || file_exists(paths[i])) {
            TRY(ingest_path(in, paths[i]));
            continue;
        }
        in->out->documents.skipped++;
        ingest_remark(&(ingest_file){.in = in, .path = paths[i]}, "no such file or folder");
        if (n_missing++ == 0) missing = paths[i];
    }
    if (n_missing > 1)
        FAIL(ERR_ARG, "%d of %d paths do not exist, the first is %s; the others were read",
             n_missing, n, missing);
    if (n_missing)
        FAIL(ERR_ARG, "%s: no such file or folder%s", missing,
             n > 1 ? "; the other paths were read" : "");
    return OK;
}

status ingest_paths(store *s, const char *const *paths, int n, const ingest_options *o,
                    ingest_report *out) {
    ingest in = {.s = s, .o = o, .out = out, .committed_s = now_s()};
    if (o->format && strcmp(o->format, "auto") != 0) {
        in.format = ingest_find_format(o->format);
        if (!in.format)
            FAIL(ERR_ARG, "unknown format '%s', wanted one of: %s", o->format,
                 ingest_format_names());
    }
    progress_begin(&in.bar, "reading", "records", -1);
    status st = read_paths(&in, paths, n);
    progress_end(&in.bar);
    status end = in.failed ? OK : commit(&in);
    if (in.open) store_rollback(s);
    free(in.met);
    store_keys_clear(&in.documents);
    store_keys_clear(&in.questions);
    arena_free(in.scratch);
    return st ? st : end;
}
