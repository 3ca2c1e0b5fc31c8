/* Writes the fictional encyclopedia: opens the grammar, makes the world, then the articles
 * and their questions one entity at a time. */
#include "data/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/sample_int.h"
#include "util/file.h"
#include "util/log.h"
#include "util/stop.h"

enum { FLUSH_BYTES = 1 << 16 };

static const char *const split_names[SAMPLE_SPLITS] = {"train", "dev", "test"};

/* Articles are written plainly, not by file_write: waiting for the disk twice a file would
 * take minutes, and after a crash the same command makes the same bytes again. */
static status write_plainly(const char *path, const buf *text) {
    FILE *f = fopen(path, "wb");
    if (!f) FAIL(ERR_IO, "cannot write %s: %s", path, strerror(errno));
    size_t n = fwrite(text->at, 1, text->len, f);
    int closed = fclose(f);
    if (n != text->len || closed != 0) FAIL(ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return OK;
}

/* Refuses a file in docs/ that this encyclopedia does not have: it would be ingested too. */
static status check_ours(void *arg, const char *path) {
    const world *w = arg;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    bool is_ours = false;
    if (n > 3 && strcmp(name + n - 3, ".md") == 0) {
        char *slug = xstrndup(name, n - 3);
        is_ours = world_find(w, slug) >= 0;
        free(slug);
    }
    if (!is_ours)
        FAIL(ERR_ARG, "%s is no article of this encyclopedia; choose an empty folder or remove it",
             path);
    return OK;
}

typedef struct target {
    const char *dir;
    char *docs;
    file_writer *questions[SAMPLE_SPLITS];
    buf pending[SAMPLE_SPLITS]; /* lines not yet given to the writer */
    buf text;
} target;

static status target_open(target *t, const char *dir, world *w) {
    t->dir = dir;
    t->docs = xasprintf("%s/docs", dir);
    TRY(file_make_folders(t->docs));
    TRY(file_walk(t->docs, check_ours, w));
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        char *path = xasprintf("%s/questions.%s.jsonl", dir, split_names[s]);
        status st = file_writer_open(path, &t->questions[s]);
        free(path);
        TRY(st);
    }
    return OK;
}

static status target_flush(target *t, size_t above) {
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        if (t->pending[s].len <= above) continue;
        TRY(file_writer_add(t->questions[s], t->pending[s].at, t->pending[s].len));
        buf_reset(&t->pending[s]);
    }
    return OK;
}

static status target_commit(target *t) {
    TRY(target_flush(t, 0));
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        file_writer *f = t->questions[s];
        t->questions[s] = NULL;
        TRY(file_writer_commit(f, NULL));
    }
    return OK;
}

static void target_close(target *t) {
    for (int s = 0; s < SAMPLE_SPLITS; s++) {
        file_writer_abort(t->questions[s]);
        buf_clear(&t->pending[s]);
    }
    buf_clear(&t->text);
    free(t->docs);
}

static status write_entity(target *t, const world *w, int64_t e, sample_report *report) {
    buf_reset(&t->text);
    article_write(w, e, &t->text);
    char *path = xasprintf("%s/%s.md", t->docs, w->entities[e].slug);
    status st = write_plainly(path, &t->text);
    free(path);
    TRY(st);
    report->articles++;
    report->bytes += (int64_t)t->text.len;
    questions_write(w, e, t->pending, report);
    return target_flush(t, FLUSH_BYTES);
}

static status write_all(target *t, const char *dir, world *w, sample_report *report) {
    TRY(target_open(t, dir, w));
    progress bar;
    progress_begin(&bar, "writing articles", "articles", w->n);
    status st = OK;
    for (int64_t e = 0; e < w->n && !st; e++) {
        if (stop_requested())
            st = err_set(ERR_STOPPED, __FILE__, __LINE__, "stopped after %lld of %lld articles",
                         (long long)e, (long long)w->n);
        else
            st = write_entity(t, w, e, report);
        progress_update(&bar, e + 1);
    }
    progress_end(&bar);
    return st ? st : target_commit(t);
}

status sample_write(const char *dir, const sample_options *o, sample_report *out) {
    if (o->articles < 1 || o->articles > INT32_MAX)
        FAIL(ERR_ARG, "%lld articles asked for, wanted 1 to %d", (long long)o->articles, INT32_MAX);
    grammar *g;
    TRY(grammar_open(o->grammar, &g));
    world *w = world_new(g, o->articles, o->seed);
    sample_report report = {0};
    for (int k = 0; k < g->n_kinds; k++) {
        if (w->n_members[k] == 0) continue;
        report.kinds++;
        report.relations += g->kinds[k].n_relations;
    }
    target t = {0};
    status st = write_all(&t, dir, w, &report);
    target_close(&t);
    world_free(w);
    grammar_free(g);
    if (st) return st;
    *out = report;
    return OK;
}
