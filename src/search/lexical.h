#ifndef RAGLAN_SEARCH_LEXICAL_H
#define RAGLAN_SEARCH_LEXICAL_H
/* Lexical search: BM25 over an inverted index of stemmed words (Robertson & Zaragoza 2009,
 * sec. 3), in immutable, memory-mapped segment files.
 *
 *   score(q, d) = sum over terms t of q:
 *                 qtf(t) * idf(t) * tf / (tf + k1 * (1 - b + b * len(d) / avg))
 *   idf(t)      = ln(1 + (N - df + 1/2) / (df + 1/2))          never negative
 *
 * (The constant factor k1 + 1 is left out: it changes no order.) tf and len are stored, so k1
 * and b belong to the query. N, df and avg are summed over all open segments, deleted
 * passages included until the next lexical_merge: then several segments score exactly, bit
 * for bit, as one segment of the same passages would.
 *
 * A passage is indexed as title + text. Adding passages = one more segment. Deleting = a list
 * of ids handed to lexical_open. lexical_merge writes one segment without the deleted ones. */
#include "search/hits.h"
#include "util/mem.h"

/* Room for a segment's file name: "lexical-0123456789abcdef.seg" and NUL. */
enum { SEGMENT_NAME = 40 };

/* ---- building ------------------------------------------------------------------------ */

typedef struct lexical_build_options {
    const char *language; /* Snowball name or "none"; NULL: "english" */
    size_t memory_bytes;  /* postings and words held before a run is spilled to disk; 0: 192 MiB */
} lexical_build_options;

/* Streams passages into a new segment of folder. Memory: about memory_bytes while adding, then
 * 24 bytes a different word and 16 a block of postings, and 12 bytes a passage throughout. Words
 * are split and stemmed on all threads; the file's bytes depend neither on their number nor on
 * memory_bytes. Spilled runs are files without a name: a kill leaves nothing behind. */
typedef struct lexical_builder lexical_builder;
status lexical_builder_open(const char *folder, const lexical_build_options *o /* NULL: defaults */,
                            lexical_builder **out);
/* Ids must ascend (ERR_ARG). title may be NULL. Text is copied. An error is final: then only close.
 */
status lexical_builder_add(lexical_builder *b, int64_t id, const char *title, size_t n_title,
                           const char *text, size_t n_text);
/* Writes the segment durably and gives its file name (its identity: the hash of its content).
 * No passages make a valid, empty segment. b must still be closed. */
status lexical_builder_finish(lexical_builder *b, char name[SEGMENT_NAME]);
void lexical_builder_close(
    lexical_builder *b); /* NULL is a no-op; without finish nothing is left */

/* One segment out of several, without the deleted ids: byte for byte the file that a builder
 * makes of the remaining passages. ERR_FORMAT if languages differ or an id is in two segments. */
status lexical_merge(const char *folder, const char *const *names, int n_names, id_list deleted,
                     char name[SEGMENT_NAME]);

/* ---- searching ----------------------------------------------------------------------- */

/* The default .9 and .4 is within .002 nDCG@10 of the best setting on 45-word passages of SQuAD
 * (k1 .2 to 1.2, b .4 to .75: .744 to .748). Long abstracts want more: Cranfield .410 here, .430
 * with 1.2 and .75. */
typedef struct bm25 {
    double k1; /* tf saturation, >= 0 */
    double b;  /* length normalisation, 0 to 1 */
} bm25;
extern const bm25 bm25_default;

typedef struct lexical lexical;
/* Opens folder/names[i]; zero segments are an empty index. Structure is checked, and what
 * postings say is checked while reading, so that a damaged file gives ERR_FORMAT and never
 * a bad access; lexical_verify reads every byte. deleted is copied. */
status lexical_open(const char *folder, const char *const *names, int n_names, id_list deleted,
                    lexical **out);
void lexical_close(lexical *ix);
status lexical_verify(const char *folder, const char *name);
int64_t lexical_count(const lexical *ix); /* passages, deleted ones included */
const char *lexical_language(const lexical *ix);
/* Is there a passage of this id, not deleted? */
bool lexical_has(const lexical *ix, int64_t id);

/* The best k passages that hold a word of the query; *n_hits <= k, best first, ties to the
 * smaller id. hits: [k], caller's. No known word: 0 hits, OK. Any number of threads may search one
 * index. */
status lexical_search(const lexical *ix, const char *query, size_t n, const bm25 *p, int64_t k,
                      hit_filter filter, hit *hits, int64_t *n_hits);

/* The same BM25 score, bit for bit, for n given passages (any order); 0 for one that holds
 * no word of the query, and for an unknown id. */
status lexical_score_ids(const lexical *ix, const char *query, size_t n_query, const bm25 *p,
                         const int64_t *ids, int64_t n, float *scores);

/* idf of one word after normalising and stemming it; that of an unknown word is the greatest. */
double lexical_idf(const lexical *ix, const char *word, size_t n);
#endif
