/* Which units are relevant to which question: from the questions themselves, or from a file. */
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/ranking.h"
#include "metric/trec.h"
#include "util/log.h"

static judgements *judgements_new(const eval_units *u, int64_t n, int64_t n_at) {
    judgements *j = xcalloc(1, sizeof *j);
    j->u = u;
    j->n = n;
    j->counts = xcalloc((size_t)n + 1, sizeof *j->counts);
    j->of = xcalloc((size_t)n + 1, sizeof *j->of);
    j->at = xcalloc((size_t)n_at + 1, sizeof *j->at);
    return j;
}

void judgements_free(judgements *j) {
    if (!j) return;
    free(j->counts);
    free(j->of);
    free(j->at);
    free(j);
}

judgements *judgements_of(const eval_units *u, const qa_set *q) {
    judgements *j = judgements_new(u, q->n, q->n_relevant);
    for (int64_t i = 0; i < q->n; i++) {
        j->counts[i] = q->at[i].has_judgement;
        j->of[i] = q->at[i].relevant;
    }
    for (int64_t i = 0; i < q->n_relevant; i++) j->at[i] = (judgement){q->relevant[i], 1};
    return j;
}

int judgement_of(const judgements *j, int64_t question, int64_t unit) {
    int64_t lo = j->of[question].begin, hi = j->of[question].end;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (j->at[mid].unit < unit)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = lo < j->of[question].end && j->at[lo].unit == unit;
    return found ? j->at[lo].rel : RANK_UNJUDGED;
}

/* ---- from a file ---- */

/* A line of the file on its way to a question and a unit. */
typedef struct line {
    const char *query, *name;
    int64_t question, unit;
    int rel;
} line;

static int by_name(const void *a, const void *b) {
    return strcmp(((const line *)a)->name, ((const line *)b)->name);
}

static int by_query(const void *a, const void *b) {
    return strcmp(((const line *)a)->query, ((const line *)b)->query);
}

static int by_question(const void *a, const void *b) {
    const line *x = a, *y = b;
    if (x->question != y->question) return x->question < y->question ? -1 : 1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

typedef int (*line_order)(const void *, const void *);

/* First line not before `key`. Lines are sorted by `order`. */
static int64_t first_of(const line *l, int64_t n, const line *key, line_order order) {
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (order(&l[mid], key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Gives a unit to the lines that judge this name; how many. */
static int64_t place(line *l, int64_t n, const char *name, int64_t unit) {
    line key = {.name = name};
    int64_t found = 0;
    for (int64_t i = first_of(l, n, &key, by_name); i < n && !strcmp(l[i].name, name); i++) {
        l[i].unit = unit;
        found++;
    }
    return found;
}

static status place_units(const char *path, eval_units *u, line *l, int64_t n) {
    int64_t documents = 0, passages = 0, unknown = 0;
    qsort(l, (size_t)n, sizeof *l, by_name);
    for (int64_t i = 0; i < u->c->n_documents; i++) documents += place(l, n, u->document[i], i);
    buf name = {0};
    for (int64_t i = 0; i < u->c->n && !documents; i++) {
        eval_unit_name(u, i, &name);
        passages += place(l, n, name.at, i);
    }
    buf_clear(&name);
    u->documents = documents > 0;
    const char *example = "";
    for (int64_t i = 0; i < n; i++)
        if (l[i].unit < 0 && l[i].rel > 0) {
            if (!unknown++) example = l[i].name;
        }
    if (documents + passages == 0)
        FAIL(ERR_FORMAT,
             "%s: judges nothing of this collection, such as '%s'; wanted ids of documents, or "
             "passages as DOCUMENT:BEGIN-END, or the name of a file that is not there, to write",
             path, example);
    if (unknown)
        log_warn(
            "%s: %lld relevant %s%s not in this collection, such as '%s', counted as not found",
            path, (long long)unknown, documents ? "document" : "passage", plural(unknown), example);
    return OK;
}

static void place_questions(const qa_set *q, line *l, int64_t n) {
    qsort(l, (size_t)n, sizeof *l, by_query);
    buf id = {0};
    for (int64_t i = 0; i < q->n; i++) {
        buf_reset(&id);
        eval_trec_id(q->at[i].id, &id);
        line key = {.query = id.at ? id.at : ""};
        for (int64_t k = first_of(l, n, &key, by_query); k < n && !strcmp(l[k].query, key.query);
             k++)
            l[k].question = i;
    }
    buf_clear(&id);
}

static judgements *gather(const eval_units *u, const qa_set *q, line *l, int64_t n) {
    qsort(l, (size_t)n, sizeof *l, by_question);
    judgements *j = judgements_new(u, q->n, n);
    int64_t n_at = 0, i = 0;
    j->from_file = true;
    while (i < n && l[i].question < 0) i++;
    for (int64_t k = 0; k < q->n; k++) {
        j->of[k].begin = n_at;
        for (; i < n && l[i].question == k; i++) {
            j->counts[k] = true;
            if (l[i].unit >= 0 || l[i].rel > 0) j->at[n_at++] = (judgement){l[i].unit, l[i].rel};
        }
        j->of[k].end = n_at;
    }
    return j;
}

/* BEIR's files name their three columns and leave the iteration out; make them TREC's. */
static status read_lines(const char *path, buf *out) {
    reader *r = NULL;
    buf text = {0};
    TRY(reader_open(path, &r));
    status st;
    for (bool more = true; !(st = reader_line(r, &text, &more)) && more;) {
        if (!text.at || (reader_line_number(r) == 1 && !strncmp(text.at, "query-id\t", 9)))
            continue;
        char *save = NULL, *field[5];
        int n = 0;
        char *copy = xstrdup(text.at);
        for (char *f = strtok_r(copy, " \t", &save); f && n < 5; f = strtok_r(NULL, " \t", &save))
            field[n++] = f;
        if (n == 3)
            buf_printf(out, "%s 0 %s %s\n", field[0], field[1], field[2]);
        else
            buf_printf(out, "%s\n", text.at);
        free(copy);
    }
    reader_close(r);
    buf_clear(&text);
    return st;
}

status judgements_read(const char *path, eval_units *u, const qa_set *q, judgements **out) {
    buf text = {0};
    trec_qrels *file = NULL;
    status st = read_lines(path, &text);
    if (!st) st = trec_qrels_parse(path, text.at ? text.at : "", text.len, &file);
    buf_clear(&text);
    if (st) return st;
    int64_t n = trec_qrels_count(file);
    line *l = xcalloc((size_t)n + 1, sizeof *l);
    for (int64_t i = 0; i < n; i++) {
        l[i].question = l[i].unit = -1;
        trec_qrels_at(file, i, &l[i].query, &l[i].name, &l[i].rel);
    }
    st = place_units(path, u, l, n);
    if (!st) {
        place_questions(q, l, n);
        judgements *j = gather(u, q, l, n);
        bool any = false;
        for (int64_t i = 0; i < q->n; i++) any |= j->counts[i];
        if (!any) {
            judgements_free(j);
            st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                         "%s: judges none of these questions, such as '%s'; found '%s'", path,
                         q->n ? q->at[0].id : "", n ? l[0].query : "");
        } else
            *out = j;
    }
    free(l);
    trec_qrels_free(file);
    return st;
}

status judgements_write(const judgements *j, const qa_set *q, file_writer *w) {
    buf id = {0}, name = {0};
    status st = OK;
    for (int64_t i = 0; i < j->n && !st; i++) {
        if (!j->counts[i]) continue;
        buf_reset(&id);
        eval_trec_id(q->at[i].id, &id);
        span s = j->of[i];
        if (s.begin == s.end) st = file_writer_printf(w, "%s 0 none 0\n", id.at);
        for (int64_t k = s.begin; k < s.end && !st; k++) {
            if (j->at[k].unit < 0) continue; /* of a file: not in this collection, no name */
            eval_unit_name(j->u, j->at[k].unit, &name);
            st = file_writer_printf(w, "%s 0 %s %d\n", id.at, name.at, j->at[k].rel);
        }
    }
    buf_clear(&id);
    buf_clear(&name);
    return st;
}
