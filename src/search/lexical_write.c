/* Writing a lexical segment in one pass over sorted sources of terms: postings go straight to
 * the file, the dictionary and the directory of blocks are kept until the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search/lexical_int.h"
#include "search/terms_int.h"
#include "util/json.h"

typedef struct output {
    segment_writer *file;
    const lexical_contents *c;
    buf terms, text, blocks; /* sections to come: lexical_term[], bytes, lexical_block[] */
    uint64_t n_blocks, n_terms, postings_bytes;
} output;

static int bits_of(uint32_t x) {
    return x ? 32 - __builtin_clz(x) : 0;
}

/* Appends count numbers of `bits` bits at out; returns the bytes used. out is zeroed. */
static size_t pack(uint8_t *out, const uint32_t *x, int count, int bits) {
    for (int i = 0, bit = 0; i < count; i++, bit += bits) {
        uint64_t word;
        memcpy(&word, out + (bit >> 3), sizeof word);
        word |= (uint64_t)x[i] << (bit & 7);
        memcpy(out + (bit >> 3), &word, sizeof word);
    }
    return ((size_t)count * (size_t)bits + 7) / 8;
}

/* One block of 1..128 postings; `next` is the first ordinal that a delta of 0 would mean. */
static status put_block(output *o, const posting *p, int count, uint32_t next) {
    uint8_t bytes[2 + 2 * 4 * BLOCK + 8] = {0};
    uint32_t deltas[BLOCK], tfs[BLOCK], all_deltas = 0, all_tfs = 0;
    lexical_block b = {
        .offset = o->postings_bytes, .last = p[count - 1].doc, .min_len = UINT16_MAX};
    for (int i = 0; i < count; i++) {
        MUST(p[i].doc >= next && p[i].tf >= 1, "doc=%u next=%u tf=%u", p[i].doc, next, p[i].tf);
        all_deltas |= deltas[i] = p[i].doc - next;
        all_tfs |= tfs[i] = p[i].tf - 1;
        next = p[i].doc + 1;
        uint32_t length = o->c->lengths[p[i].doc];
        if (p[i].tf > b.max_tf) b.max_tf = (uint16_t)(p[i].tf < UINT16_MAX ? p[i].tf : UINT16_MAX);
        if (length < b.min_len) b.min_len = (uint16_t)length;
    }
    bytes[0] = (uint8_t)bits_of(all_deltas);
    bytes[1] = (uint8_t)bits_of(all_tfs);
    size_t n = 2 + pack(bytes + 2, deltas, count, bytes[0]);
    n += pack(bytes + n, tfs, count, bytes[1]);
    buf_add(&o->blocks, &b, sizeof b);
    o->n_blocks++;
    o->postings_bytes += n;
    return segment_add(o->file, bytes, n);
}

static status put_term(output *o, const char *term, size_t n_term, const posting *p, int64_t n) {
    if (o->text.len + n_term > UINT32_MAX)
        FAIL(ERR_ARG,
             "the index would hold more than 4 GiB of different words; split the collection");
    lexical_term t = {.first_block = o->n_blocks, .text = (uint32_t)o->text.len, .df = (uint32_t)n};
    buf_add(&o->terms, &t, sizeof t);
    buf_add(&o->text, term, n_term);
    o->n_terms++;
    for (int64_t i = 0; i < n; i += BLOCK) {
        int count = (int)(n - i < BLOCK ? n - i : BLOCK);
        TRY(put_block(o, p + i, count, i > 0 ? p[i - 1].doc + 1 : 0));
    }
    return OK;
}

static int compare_postings(const void *a, const void *b) {
    uint32_t x = ((const posting *)a)->doc, y = ((const posting *)b)->doc;
    return (x > y) - (x < y);
}

/* The cursor with the smallest term; NULL when all are at their end. */
static term_cursor *smallest(const lexical_contents *c) {
    term_cursor *best = NULL;
    for (int i = 0; i < c->n_cursors; i++) {
        term_cursor *x = c->cursors[i];
        if (x->n && (!best || terms_compare(x->term, x->n_term, best->term, best->n_term) < 0))
            best = x;
    }
    return best;
}

/* Joins the postings of one term from all cursors that stand at it, and moves those on. */
static status join_term(output *o, const term_cursor *first, buf *term, buf *joined) {
    const lexical_contents *c = o->c;
    buf_reset(term);
    buf_reset(joined);
    buf_add(term, first->term, first->n_term);
    bool sorted = true;
    for (int i = 0; i < c->n_cursors; i++) {
        term_cursor *x = c->cursors[i];
        if (!x->n || terms_compare(x->term, x->n_term, term->at, term->len) != 0) continue;
        if (joined->len) {
            const posting *last = (const posting *)(joined->at + joined->len) - 1;
            sorted = sorted && last->doc < x->at[0].doc;
        }
        buf_add(joined, x->at, (size_t)x->n * sizeof *x->at);
        TRY(x->next(x));
    }
    posting *p = (posting *)joined->at;
    int64_t n = (int64_t)(joined->len / sizeof *p);
    if (!sorted) qsort(p, (size_t)n, sizeof *p, compare_postings);
    return put_term(o, term->at, term->len, p, n);
}

static status put_postings(output *o) {
    const lexical_contents *c = o->c;
    buf term = {0}, joined = {0};
    status st = OK;
    for (int i = 0; i < c->n_cursors && !st; i++) st = c->cursors[i]->next(c->cursors[i]);
    const term_cursor *first;
    while (!st && (first = smallest(c))) st = join_term(o, first, &term, &joined);
    buf_clear(&term);
    buf_clear(&joined);
    return st;
}

static status put_section(output *o, const char *name, const void *bytes, size_t n) {
    TRY(segment_begin(o->file, name));
    return segment_add(o->file, bytes, n);
}

static status put_meta(output *o) {
    int64_t n_tokens = 0;
    for (int64_t i = 0; i < o->c->n; i++) n_tokens += o->c->lengths[i];
    json_t *meta = json_pack("{s:i, s:s, s:I, s:I, s:I}", "version", LEXICAL_VERSION, "language",
                             o->c->language, "passages", (json_int_t)o->c->n, "tokens",
                             (json_int_t)n_tokens, "terms", (json_int_t)o->n_terms);
    char *line = json_line(meta);
    status st = put_section(o, "meta", line, strlen(line));
    free(line);
    json_decref(meta);
    return st;
}

static status put_all(output *o) {
    const lexical_contents *c = o->c;
    TRY(put_section(o, "ids", c->ids, (size_t)c->n * sizeof *c->ids));
    TRY(put_section(o, "lengths", c->lengths, (size_t)c->n * sizeof *c->lengths));
    TRY(segment_begin(o->file, "postings"));
    TRY(put_postings(o));
    lexical_term end = {.first_block = o->n_blocks, .text = (uint32_t)o->text.len};
    buf_add(&o->terms, &end, sizeof end);
    TRY(put_section(o, "blocks", o->blocks.at, o->blocks.len));
    TRY(put_section(o, "terms", o->terms.at, o->terms.len));
    TRY(put_section(o, "text", o->text.at, o->text.len));
    return put_meta(o);
}

status lexical_write(const char *folder, const lexical_contents *c, char name[SEGMENT_NAME]) {
    output o = {.c = c};
    TRY(segment_writer_open(folder, "lexical", &o.file));
    status st = put_all(&o);
    if (st)
        segment_abort(o.file);
    else
        st = segment_commit(o.file, name);
    buf_clear(&o.terms);
    buf_clear(&o.text);
    buf_clear(&o.blocks);
    return st;
}
