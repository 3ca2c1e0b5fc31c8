/* Building a lexical segment from passages.
 *
 *   add      copies a passage into the batch; a full batch is inverted:
 *   pieces   the batch is cut into pieces of about 128 KiB of text, each split, counted and
 *            stemmed by itself (in parallel; a word is stemmed once a piece), giving local
 *            terms and (passage, local term, tf) triples
 *   gather   in piece order, local terms become the run's terms, triples join the run
 *   spill    a run that has reached the memory budget is sorted and written to an unlinked
 *            file, its dictionary with it
 *   finish   all runs are merged into the segment (lexical_write.c)
 *
 * (Heinz & Zobel 2003 call this single-pass in-memory indexing.) Passages enter runs in id order,
 * so a term's postings from successive runs just follow each other. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search/lexical_int.h"
#include "search/terms_int.h"
#include "search/words.h"
#include "util/par.h"

enum { BATCH_BYTES = 4 << 20, PIECE_BYTES = 128 << 10 };
#define MEMORY_DEFAULT ((size_t)192 << 20)

typedef struct triple {
    uint32_t term, doc, tf;
} triple;

/* What one piece of the batch becomes. Memory is kept from batch to batch. */
typedef struct piece {
    int64_t first, last; /* passages of the batch: first..last-1 */
    terms words;         /* as they stand in the text, normalised */
    uint32_t *stem_of;   /* [words.cap] local term of each word */
    terms stems;         /* the local terms */
    uint32_t *count;     /* [stems.cap] occurrences in the current passage, else 0 */
    uint32_t *touched;   /* [stems.cap] local terms of the current passage */
    uint32_t n_words, n_stems, n_touched; /* room in the arrays; touched so far */
    triple *triples;
    int64_t n_triples, cap;
    uint32_t length; /* terms in the current passage */
    words *splitter; /* of the worker at hand */
} piece;

/* Sorted postings of part of the collection: in memory (the last) or in a file. */
typedef struct run {
    term_cursor cursor;
    terms terms;      /* memory: the dictionary */
    uint32_t *sorted; /* memory: [terms.n] in order */
    int64_t *begin;   /* memory: [terms.n + 1] of the i-th sorted term, into postings */
    posting *postings;
    uint32_t i;
    FILE *file; /* or: term length u32, bytes, count u32, postings; again and again */
    buf term;
    int64_t cap;
} run;

struct lexical_builder {
    char *folder;
    char *language;
    size_t memory_bytes;
    words **splitters; /* [n_workers] */
    int n_workers;
    buf text;     /* the batch */
    size_t *ends; /* [n_batch] of each passage's text in the batch */
    int64_t n_batch, cap_batch;
    piece *pieces;
    int64_t n_pieces, cap_pieces;
    int64_t *ids; /* [n] all passages so far, the batch included */
    uint32_t *lengths;
    int64_t n, cap_ids, cap_lengths;
    terms terms; /* of the run being gathered */
    triple *triples;
    int64_t n_triples, cap_triples;
    run **runs;
    int64_t n_runs, cap_runs;
};

status lexical_builder_open(const char *folder, const lexical_build_options *o,
                            lexical_builder **out) {
    const char *language = o && o->language ? o->language : "english";
    size_t memory = o && o->memory_bytes ? o->memory_bytes : MEMORY_DEFAULT;
    words *first;
    TRY(words_new(language, &first));
    lexical_builder *b = xcalloc(1, sizeof *b);
    b->folder = xstrdup(folder);
    b->language = xstrdup(language);
    b->memory_bytes = memory;
    b->n_workers = par_threads();
    b->splitters = xcalloc((size_t)b->n_workers, sizeof *b->splitters);
    b->splitters[0] = first;
    for (int i = 1; i < b->n_workers; i++) {
        status st = words_new(language, &b->splitters[i]);
        if (st) {
            lexical_builder_close(b);
            return st;
        }
    }
    *out = b;
    return OK;
}

/* ---- pieces: words of passages into local triples ---- */

/* Room for number i in an array that follows a terms table; new room is zeroed. */
static void follow(uint32_t **at, uint32_t *n, uint32_t i) {
    if (i < *n) return;
    uint32_t room = *n ? 2 * *n : 1024;
    *at = xrealloc(*at, (size_t)room * sizeof **at);
    memset(*at + *n, 0, (size_t)(room - *n) * sizeof **at);
    *n = room;
}

static uint32_t local_term(piece *p, const char *word, size_t n) {
    uint32_t known = p->words.n;
    uint32_t i = terms_intern(&p->words, word, n);
    if (i < known) return p->stem_of[i];
    size_t n_stem;
    const char *stem = words_stem(p->splitter, word, n, &n_stem);
    uint32_t t = terms_intern(&p->stems, stem, n_stem);
    follow(&p->stem_of, &p->n_words, i);
    p->stem_of[i] = t;
    if (t >= p->n_stems) {
        uint32_t room = p->n_stems;
        follow(&p->touched, &room, t);
        follow(&p->count, &p->n_stems, t);
    }
    return t;
}

static void count_word(void *arg, const char *word, size_t n) {
    piece *p = arg;
    uint32_t t = local_term(p, word, n);
    if (p->count[t]++ == 0) p->touched[p->n_touched++] = t;
    p->length++;
}

static void piece_run(void *arg, int64_t i, int worker) {
    lexical_builder *b = arg;
    piece *p = &b->pieces[i];
    p->splitter = b->splitters[worker];
    p->n_triples = 0;
    terms_reset(&p->words);
    terms_reset(&p->stems);
    int64_t base = b->n - b->n_batch; /* ordinal of the batch's first passage */
    for (int64_t d = p->first; d < p->last; d++) {
        size_t begin = d > 0 ? b->ends[d - 1] : 0;
        p->n_touched = p->length = 0;
        words_split(p->splitter, b->text.at + begin, b->ends[d] - begin, count_word, p);
        b->lengths[base + d] = p->length;
        for (uint32_t j = 0; j < p->n_touched; j++) {
            uint32_t t = p->touched[j];
            GROW(p->triples, p->n_triples, p->cap);
            p->triples[p->n_triples++] = (triple){t, (uint32_t)(base + d), p->count[t]};
            p->count[t] = 0;
        }
    }
}

static void cut_into_pieces(lexical_builder *b) {
    b->n_pieces = 0;
    for (int64_t d = 0; d < b->n_batch;) {
        if (b->n_pieces == b->cap_pieces) {
            int64_t had = b->cap_pieces;
            GROW(b->pieces, b->n_pieces, b->cap_pieces);
            memset(b->pieces + had, 0, (size_t)(b->cap_pieces - had) * sizeof *b->pieces);
        }
        piece *p = &b->pieces[b->n_pieces++];
        size_t begin = d > 0 ? b->ends[d - 1] : 0;
        p->first = d;
        while (d < b->n_batch && b->ends[d] - begin < PIECE_BYTES) d++;
        if (d == p->first) d++; /* one passage larger than a piece */
        p->last = d;
    }
}

/* ---- runs ---- */

static status memory_next(term_cursor *c) {
    run *r = (run *)c;
    c->n = 0;
    if (r->i >= r->terms.n) return OK;
    c->term = terms_at(&r->terms, r->sorted[r->i], &c->n_term);
    c->at = r->postings + r->begin[r->i];
    c->n = r->begin[r->i + 1] - r->begin[r->i];
    r->i++;
    return OK;
}

static status run_read(run *r, void *bytes, size_t n) {
    if (fread(bytes, 1, n, r->file) != n)
        FAIL(ERR_IO, "reading back a spilled run: %s", strerror(ferror(r->file) ? errno : EIO));
    return OK;
}

static status file_next(term_cursor *c) {
    run *r = (run *)c;
    uint32_t n_term, n;
    c->n = 0;
    if (fread(&n_term, 1, sizeof n_term, r->file) != sizeof n_term && feof(r->file)) return OK;
    buf_reset(&r->term);
    while (r->term.len < n_term) buf_putc(&r->term, 0);
    TRY(run_read(r, r->term.at, n_term));
    TRY(run_read(r, &n, sizeof n));
    if (n > r->cap) {
        r->cap = n;
        r->postings = xrealloc(r->postings, (size_t)n * sizeof *r->postings);
    }
    TRY(run_read(r, r->postings, (size_t)n * sizeof *r->postings));
    c->term = r->term.at;
    c->n_term = n_term;
    c->at = r->postings;
    c->n = n;
    return OK;
}

static void run_free(run *r) {
    terms_clear(&r->terms);
    free(r->sorted);
    free(r->begin);
    free(r->postings);
    buf_clear(&r->term);
    if (r->file) fclose(r->file);
    free(r);
}

/* Sorts what was gathered into a run in memory: a counting sort by the term's rank keeps the
 * passages of a term in order. */
static run *run_sort(lexical_builder *b) {
    run *r = xcalloc(1, sizeof *r);
    r->cursor.next = memory_next;
    r->terms = b->terms;
    b->terms = (terms){0};
    uint32_t n = r->terms.n;
    r->sorted = xmalloc(((size_t)n + 1) * sizeof *r->sorted);
    for (uint32_t i = 0; i < n; i++) r->sorted[i] = i;
    terms_sort(&r->terms, r->sorted, n);
    int64_t *at = xcalloc((size_t)n + 1, sizeof *at); /* by term: count, then next free place */
    for (int64_t i = 0; i < b->n_triples; i++) at[b->triples[i].term]++;
    r->begin = xmalloc(((size_t)n + 1) * sizeof *r->begin);
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        r->begin[i] = sum;
        sum += at[r->sorted[i]];
        at[r->sorted[i]] = r->begin[i];
    }
    r->begin[n] = sum;
    r->postings = xmalloc((size_t)(sum + 1) * sizeof *r->postings);
    for (int64_t i = 0; i < b->n_triples; i++) {
        const triple *t = &b->triples[i];
        r->postings[at[t->term]++] = (posting){t->doc, t->tf};
    }
    free(at);
    b->n_triples = 0;
    return r;
}

/* A temporary file that has no name any more: a kill leaves nothing. */
static FILE *unlinked_file(const char *folder) {
    char *path = xasprintf("%s/run-XXXXXX", folder);
    int fd = mkstemp(path);
    if (fd >= 0) unlink(path);
    free(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (!f && fd >= 0) close(fd);
    return f;
}

/* Writes a run in memory to a file and leaves a cursor over the file in its place. */
static status run_spill(const char *folder, run *r) {
    FILE *f = unlinked_file(folder);
    if (!f) FAIL(ERR_IO, "%s: cannot make a temporary file: %s", folder, strerror(errno));
    term_cursor *c = &r->cursor;
    while (memory_next(c) == OK && c->n) {
        uint32_t n_term = (uint32_t)c->n_term, n = (uint32_t)c->n;
        fwrite(&n_term, sizeof n_term, 1, f);
        fwrite(c->term, 1, n_term, f);
        fwrite(&n, sizeof n, 1, f);
        fwrite(c->at, sizeof *c->at, n, f);
    }
    if (fflush(f) || ferror(f)) {
        int reason = errno;
        fclose(f);
        FAIL(ERR_IO, "%s: cannot write a temporary file: %s", folder, strerror(reason));
    }
    rewind(f);
    terms_clear(&r->terms);
    free(r->sorted);
    free(r->begin);
    free(r->postings);
    *r = (run){.cursor.next = file_next, .file = f};
    return OK;
}

static status run_end(lexical_builder *b, bool spill) {
    run *r = run_sort(b);
    GROW(b->runs, b->n_runs, b->cap_runs);
    b->runs[b->n_runs++] = r;
    return spill ? run_spill(b->folder, r) : OK;
}

/* ---- the batch ---- */

/* What the run takes: a triple is there as it came and, once sorted, as a posting. */
static size_t run_bytes(const lexical_builder *b) {
    return (size_t)b->n_triples * (sizeof(triple) + sizeof(posting)) + terms_bytes(&b->terms);
}

/* Brings a piece's triples into the run. */
static void gather(lexical_builder *b, const piece *p) {
    uint32_t *global = xmalloc(((size_t)p->stems.n + 1) * sizeof *global);
    for (uint32_t i = 0; i < p->stems.n; i++) {
        size_t n;
        const char *s = terms_at(&p->stems, i, &n);
        global[i] = terms_intern(&b->terms, s, n);
    }
    for (int64_t i = 0; i < p->n_triples; i++) {
        triple t = p->triples[i];
        t.term = global[t.term];
        GROW(b->triples, b->n_triples, b->cap_triples);
        b->triples[b->n_triples++] = t;
    }
    free(global);
}

static status invert_batch(lexical_builder *b) {
    cut_into_pieces(b);
    MUST(par_threads() <= b->n_workers, "threads grew from %d to %d", b->n_workers, par_threads());
    par_for(b->n_pieces, piece_run, b);
    status st = OK;
    for (int64_t i = 0; i < b->n_pieces && !st; i++) {
        gather(b, &b->pieces[i]);
        if (run_bytes(b) >= b->memory_bytes) st = run_end(b, true);
    }
    buf_reset(&b->text);
    b->n_batch = 0;
    return st;
}

status lexical_builder_add(lexical_builder *b, int64_t id, const char *title, size_t n_title,
                           const char *text, size_t n_text) {
    if (id < 0 || (b->n > 0 && id <= b->ids[b->n - 1]))
        FAIL(ERR_ARG, "passage %" PRId64 " comes after passage %" PRId64 "; ids must ascend", id,
             b->n > 0 ? b->ids[b->n - 1] : -1);
    if (b->n >= UINT32_MAX - 1)
        FAIL(ERR_ARG, "a segment holds at most %u passages", UINT32_MAX - 1);
    if (title && n_title) {
        buf_add(&b->text, title, n_title);
        buf_putc(&b->text, '\n'); /* ends the word */
    }
    if (n_text) buf_add(&b->text, text, n_text);
    GROW(b->ids, b->n, b->cap_ids);
    GROW(b->lengths, b->n, b->cap_lengths);
    GROW(b->ends, b->n_batch, b->cap_batch);
    b->ids[b->n] = id;
    b->lengths[b->n++] = 0;
    b->ends[b->n_batch++] = b->text.len;
    return b->text.len >= BATCH_BYTES ? invert_batch(b) : OK;
}

status lexical_builder_finish(lexical_builder *b, char name[SEGMENT_NAME]) {
    TRY(invert_batch(b));
    TRY(run_end(b, false));
    term_cursor **cursors = xmalloc((size_t)b->n_runs * sizeof *cursors);
    for (int64_t i = 0; i < b->n_runs; i++) cursors[i] = &b->runs[i]->cursor;
    lexical_contents c = {.language = b->language,
                          .ids = b->ids,
                          .lengths = b->lengths,
                          .n = b->n,
                          .cursors = cursors,
                          .n_cursors = (int)b->n_runs};
    status st = lexical_write(b->folder, &c, name);
    free(cursors);
    return st;
}

static void piece_clear(piece *p) {
    terms_clear(&p->words);
    terms_clear(&p->stems);
    free(p->stem_of);
    free(p->count);
    free(p->touched);
    free(p->triples);
}

void lexical_builder_close(lexical_builder *b) {
    if (!b) return;
    for (int i = 0; i < b->n_workers; i++) words_free(b->splitters[i]);
    for (int64_t i = 0; i < b->cap_pieces; i++) piece_clear(&b->pieces[i]);
    for (int64_t i = 0; i < b->n_runs; i++) run_free(b->runs[i]);
    free(b->splitters);
    free(b->pieces);
    free(b->runs);
    buf_clear(&b->text);
    free(b->ends);
    free(b->ids);
    free(b->lengths);
    terms_clear(&b->terms);
    free(b->triples);
    free(b->folder);
    free(b->language);
    free(b);
}
