/* Reading a lexical segment: everything the file says is checked before it is followed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "search/lexical_int.h"
#include "search/terms_int.h"
#include "util/json.h"

static status parse_meta(lexical_segment *s) {
    const void *text;
    int64_t n;
    json_t *meta = NULL;
    TRY(segment_get(&s->file, "meta", 1, -1, &text, &n));
    TRY(json_parse(text, (size_t)n, s->file.path, &meta));
    int64_t version = json_int(meta, "version", -1);
    snprintf(s->language, sizeof s->language, "%s", json_str(meta, "language", ""));
    s->n = json_int(meta, "passages", -1);
    s->n_tokens = json_int(meta, "tokens", -1);
    s->n_terms = json_int(meta, "terms", -1);
    json_decref(meta);
    if (version != LEXICAL_VERSION)
        FAIL(ERR_FORMAT, "%s: version %" PRId64 ", wanted %d; run `raglan index`", s->file.path,
             version, LEXICAL_VERSION);
    if (s->n < 0 || s->n >= UINT32_MAX || s->n_terms < 0 || s->n_terms >= UINT32_MAX ||
        s->n_tokens < 0)
        FAIL(ERR_FORMAT, "%s: impossible counts in its meta section", s->file.path);
    return OK;
}

static status parse_sections(lexical_segment *s) {
    const segment *f = &s->file;
    TRY(parse_meta(s));
    TRY(segment_get(f, "ids", sizeof *s->ids, s->n, (const void **)&s->ids, NULL));
    TRY(segment_get(f, "lengths", sizeof *s->lengths, s->n, (const void **)&s->lengths, NULL));
    TRY(segment_get(f, "terms", sizeof *s->terms, s->n_terms + 1, (const void **)&s->terms, NULL));
    TRY(segment_get(f, "blocks", sizeof *s->blocks, -1, (const void **)&s->blocks, &s->n_blocks));
    TRY(segment_get(f, "text", 1, -1, (const void **)&s->text, &s->text_bytes));
    return segment_get(f, "postings", 1, -1, (const void **)&s->postings, &s->postings_bytes);
}

status lexical_segment_parse(const uint8_t *at, size_t size, bool check, lexical_segment *out) {
    lexical_segment s = {0};
    TRY(segment_parse(at, size, "lexical segment", "lexical", check, &s.file));
    status st = parse_sections(&s);
    if (st)
        segment_close(&s.file);
    else
        *out = s;
    return st;
}

status lexical_segment_open(const char *folder, const char *name, lexical_segment *out) {
    lexical_segment s = {0};
    TRY(segment_open(folder, name, "lexical", &s.file));
    status st = parse_sections(&s);
    if (st)
        segment_close(&s.file);
    else
        *out = s;
    return st;
}

void lexical_segment_close(lexical_segment *s) {
    segment_close(&s->file);
    *s = (lexical_segment){0};
}

static status damaged(const lexical_segment *s, const char *what) {
    FAIL(ERR_FORMAT, "%s: damaged %s; run `raglan check --repair`", s->file.path, what);
}

/* The bytes of term i. */
static status term_text(const lexical_segment *s, int64_t i, const char **text, size_t *n) {
    uint64_t begin = s->terms[i].text, end = s->terms[i + 1].text;
    if (begin > end || end > (uint64_t)s->text_bytes) return damaged(s, "dictionary");
    *text = s->text + begin;
    *n = (size_t)(end - begin);
    return OK;
}

status lexical_term_view(const lexical_segment *s, int64_t i, const char **text, size_t *n,
                         term_view *out) {
    TRY(term_text(s, i, text, n));
    const lexical_term *t = &s->terms[i];
    uint64_t n_blocks = ((uint64_t)t->df + BLOCK - 1) / BLOCK;
    if (t->df < 1 || t->df > s->n || t->first_block > (uint64_t)s->n_blocks ||
        n_blocks > (uint64_t)s->n_blocks - t->first_block)
        return damaged(s, "dictionary");
    *out = (term_view){s->blocks + t->first_block, (int64_t)n_blocks, t->df};
    return OK;
}

status lexical_find(const lexical_segment *s, const char *text, size_t n, term_view *out) {
    int64_t low = 0, high = s->n_terms;
    *out = (term_view){0};
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const char *other;
        size_t n_other;
        TRY(term_text(s, middle, &other, &n_other));
        int order = terms_compare(other, n_other, text, n);
        if (order == 0) return lexical_term_view(s, middle, &other, &n_other, out);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return OK;
}

static inline size_t packed_bytes(int count, int bits) {
    return ((size_t)count * (size_t)bits + 7) / 8;
}

/* Reads count numbers of `bits` bits (0..32). May read 7 bytes further than they reach; the
 * section table lies there. */
static void unpack(const uint8_t *at, int count, int bits, uint32_t *out) {
    if (bits == 0) {
        memset(out, 0, (size_t)count * sizeof *out);
        return;
    }
    uint64_t mask = (1ull << bits) - 1;
    for (int i = 0, bit = 0; i < count; i++, bit += bits) {
        uint64_t word;
        memcpy(&word, at + (bit >> 3), sizeof word);
        out[i] = (uint32_t)(word >> (bit & 7) & mask);
    }
}

status lexical_block_read(const lexical_segment *s, const term_view *t, int64_t i,
                          uint32_t docs[BLOCK], uint32_t tfs[BLOCK], int *count) {
    const lexical_block *b = &t->blocks[i];
    int n = i + 1 < t->n_blocks ? BLOCK : (int)(t->df - (uint32_t)i * BLOCK);
    uint64_t left = (uint64_t)s->postings_bytes;
    if (b->offset > left || left - b->offset < 2) return damaged(s, "postings");
    const uint8_t *at = s->postings + b->offset;
    int delta_bits = at[0], tf_bits = at[1];
    if (delta_bits > 32 || tf_bits > 32 ||
        2 + packed_bytes(n, delta_bits) + packed_bytes(n, tf_bits) > left - b->offset)
        return damaged(s, "postings");
    unpack(at + 2, n, delta_bits, docs);
    unpack(at + 2 + packed_bytes(n, delta_bits), n, tf_bits, tfs);
    /* Ordinals cannot wrap unnoticed: the sum is 64 bits wide and must end at `last`. */
    uint64_t doc = i > 0 ? (uint64_t)t->blocks[i - 1].last + 1 : 0;
    for (int j = 0; j < n; j++) {
        doc += docs[j];
        docs[j] = (uint32_t)doc++;
        tfs[j]++;
    }
    if (doc - 1 != b->last || b->last >= s->n) return damaged(s, "postings");
    *count = n;
    return OK;
}
