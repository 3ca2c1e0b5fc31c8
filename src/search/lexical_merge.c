/* Merging lexical segments: their passages in id order get new ordinals, deleted ones none;
 * the terms' postings are renumbered on their way into the new file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search/lexical_int.h"

#define GONE UINT32_MAX

/* One old segment as a sorted source of terms. */
typedef struct old {
    term_cursor cursor;
    lexical_segment s;
    uint32_t *ordinal; /* [s.n] new ordinal of each passage, or GONE */
    int64_t i;         /* next term */
    posting *postings;
    int64_t cap;
} old;

/* Renumbers term i's postings into o->postings; *n of them are left. */
static status renumber(old *o, const term_view *t, int64_t *n) {
    uint32_t docs[BLOCK], tfs[BLOCK];
    *n = 0;
    if (t->df > o->cap) {
        o->cap = 2 * (int64_t)t->df;
        o->postings = xrealloc(o->postings, (size_t)o->cap * sizeof *o->postings);
    }
    for (int64_t i = 0; i < t->n_blocks; i++) {
        int count;
        TRY(lexical_block_read(&o->s, t, i, docs, tfs, &count));
        for (int j = 0; j < count; j++)
            if (o->ordinal[docs[j]] != GONE)
                o->postings[(*n)++] = (posting){o->ordinal[docs[j]], tfs[j]};
    }
    return OK;
}

static status old_next(term_cursor *c) {
    old *o = (old *)c;
    c->n = 0;
    while (!c->n && o->i < o->s.n_terms) {
        term_view t;
        TRY(lexical_term_view(&o->s, o->i++, &c->term, &c->n_term, &t));
        TRY(renumber(o, &t, &c->n));
    }
    c->at = o->postings;
    return OK;
}

typedef struct merge {
    old *segments;
    int n;
    int64_t *ids;
    uint32_t *lengths;
    int64_t n_passages;
} merge;

/* Walks the segments' ids in one ascending order. */
static status number_passages(merge *m, id_list deleted) {
    int64_t total = 0, *next = xcalloc((size_t)m->n + 1, sizeof *next);
    for (int i = 0; i < m->n; i++) total += m->segments[i].s.n;
    m->ids = xmalloc(((size_t)total + 1) * sizeof *m->ids);
    m->lengths = xmalloc(((size_t)total + 1) * sizeof *m->lengths);
    int64_t before = -1;
    status st = OK;
    for (int64_t done = 0; done < total && !st; done++) {
        int best = -1;
        for (int i = 0; i < m->n; i++) {
            if (next[i] == m->segments[i].s.n) continue;
            if (best < 0 || m->segments[i].s.ids[next[i]] < m->segments[best].s.ids[next[best]])
                best = i;
        }
        old *o = &m->segments[best];
        int64_t at = next[best]++, id = o->s.ids[at];
        if (id <= before)
            st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                         "%s: passage %" PRId64 " is indexed twice; run `raglan check --repair`",
                         o->s.file.path, id);
        before = id;
        o->ordinal[at] = GONE;
        if (id_find(deleted.at, deleted.n, id) >= 0) continue;
        o->ordinal[at] = (uint32_t)m->n_passages;
        m->ids[m->n_passages] = id;
        m->lengths[m->n_passages++] = o->s.lengths[at];
    }
    free(next);
    return st;
}

static status open_all(merge *m, const char *folder, const char *const *names, int n) {
    int64_t total = 0;
    for (; m->n < n; m->n++) {
        old *o = &m->segments[m->n];
        TRY(lexical_segment_open(folder, names[m->n], &o->s));
        o->ordinal = xmalloc(((size_t)o->s.n + 1) * sizeof *o->ordinal);
        o->cursor.next = old_next;
        total += o->s.n;
        if (strcmp(o->s.language, m->segments[0].s.language) != 0) {
            m->n++; /* opened, so to be closed */
            FAIL(ERR_FORMAT, "%s: stemmed as %s, the others as %s; run `raglan index`",
                 o->s.file.path, o->s.language, m->segments[0].s.language);
        }
    }
    if (total >= UINT32_MAX) FAIL(ERR_ARG, "a segment holds at most %u passages", UINT32_MAX - 1);
    return OK;
}

status lexical_merge(const char *folder, const char *const *names, int n_names, id_list deleted,
                     char name[SEGMENT_NAME]) {
    if (n_names < 1) FAIL(ERR_ARG, "%s: no segments to merge", folder);
    merge m = {.segments = xcalloc((size_t)n_names, sizeof *m.segments)};
    term_cursor **cursors = xcalloc((size_t)n_names, sizeof *cursors);
    status st = open_all(&m, folder, names, n_names);
    if (!st) st = number_passages(&m, deleted);
    if (!st) {
        for (int i = 0; i < n_names; i++) cursors[i] = &m.segments[i].cursor;
        lexical_contents c = {.language = m.segments[0].s.language,
                              .ids = m.ids,
                              .lengths = m.lengths,
                              .n = m.n_passages,
                              .cursors = cursors,
                              .n_cursors = n_names};
        st = lexical_write(folder, &c, name);
    }
    for (int i = 0; i < m.n; i++) {
        lexical_segment_close(&m.segments[i].s);
        free(m.segments[i].ordinal);
        free(m.segments[i].postings);
    }
    free(m.segments);
    free(m.ids);
    free(m.lengths);
    free(cursors);
    return st;
}
