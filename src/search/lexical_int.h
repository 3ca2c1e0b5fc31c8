#ifndef RAGLAN_SEARCH_LEXICAL_INT_H
#define RAGLAN_SEARCH_LEXICAL_INT_H
/* The inside of a lexical segment, shared by those who write, merge and search it.
 *
 *   ids       [n]          int64, ascending; a passage's index here is its ordinal
 *   lengths   [n]          u32, terms in the passage, title included
 *   postings               blocks of up to 128 postings, see below
 *   blocks    [n_blocks]   lexical_block: the directory of blocks, term by term
 *   terms     [n_terms+1]  lexical_term, terms in bytewise order; the last is a sentinel
 *   text                   the terms' bytes, one after another
 *   meta                   JSON {"version", "language", "passages", "tokens", "terms"}
 *
 * A block: byte `delta_bits`, byte `tf_bits`, then count numbers of delta_bits bits (ordinal -
 * previous ordinal - 1; 0 bits for a run of neighbours), padded to a byte, then count numbers
 * of tf_bits bits (tf - 1). Bits from the least significant up. A block keeps its greatest tf
 * and smallest length: an upper bound of its scores for any k1 and b (Ding & Suel 2011). */
#include "search/segment_int.h"

enum { BLOCK = 128, LEXICAL_VERSION = 1 };

typedef struct lexical_block {
    uint64_t offset;  /* into postings */
    uint32_t last;    /* greatest ordinal */
    uint16_t max_tf;  /* saturates: 65535 means that or more */
    uint16_t min_len; /* saturates: 65535 means that or more */
} lexical_block;

typedef struct lexical_term {
    uint64_t first_block;
    uint32_t text; /* offset of its bytes; they end where the next term's begin */
    uint32_t df;   /* postings */
} lexical_term;

typedef struct posting {
    uint32_t doc, tf; /* ordinal; occurrences, >= 1 */
} posting;

typedef struct lexical_segment {
    segment file;
    char language[32];
    int64_t n, n_terms, n_blocks, n_tokens;
    const int64_t *ids;
    const uint32_t *lengths;
    const lexical_term *terms;
    const lexical_block *blocks;
    const char *text;
    const uint8_t *postings;
    int64_t text_bytes, postings_bytes;
} lexical_segment;
status lexical_segment_open(const char *folder, const char *name, lexical_segment *out);
/* Bytes in memory, as segment_parse. */
status lexical_segment_parse(const uint8_t *at, size_t size, bool check, lexical_segment *out);
void lexical_segment_close(lexical_segment *s);

/* A term's postings, checked to lie inside the segment. df 0: the term is not there. */
typedef struct term_view {
    const lexical_block *blocks; /* [n_blocks] */
    int64_t n_blocks;
    uint32_t df;
} term_view;
status lexical_term_view(const lexical_segment *s, int64_t i, const char **text, size_t *n,
                         term_view *out);
status lexical_find(const lexical_segment *s, const char *text, size_t n, term_view *out);
/* Decodes block i of a term: *count ordinals (ascending, below s->n) and tfs. ERR_FORMAT if
 * damaged. */
status lexical_block_read(const lexical_segment *s, const term_view *t, int64_t i,
                          uint32_t docs[BLOCK], uint32_t tfs[BLOCK], int *count);

/* ---- writing ---- */

/* A source of terms in ascending order, each with its postings in ascending ordinals. */
typedef struct term_cursor term_cursor;
struct term_cursor {
    status (*next)(term_cursor *c); /* to the first, then the next term; n 0 at the end */
    const char *term;               /* borrowed until next */
    size_t n_term;
    const posting *at; /* [n] borrowed until next */
    int64_t n;
};

typedef struct lexical_contents {
    const char *language;
    const int64_t *ids;      /* [n] ascending */
    const uint32_t *lengths; /* [n] */
    int64_t n;
    term_cursor **cursors; /* equal terms of several cursors are joined */
    int n_cursors;
} lexical_contents;
status lexical_write(const char *folder, const lexical_contents *c, char name[SEGMENT_NAME]);
#endif
