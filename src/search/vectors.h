#ifndef RAGLAN_SEARCH_VECTORS_H
#define RAGLAN_SEARCH_VECTORS_H
/* Vectors: passage embeddings in immutable, memory-mapped segment files, keyed by the model
 * and the tokenizer that made them.
 *
 *   ids   [n]       int64, ascending
 *   rows  [n, dim]  f32, row-major, the first one 64-byte aligned
 *   codes, bounds   the rows once more as bytes, in blocks of 64: what a search reads (codes.h)
 *
 * Writing is resumable: rows go to a part file in checksummed, fsynced batches, and a writer
 * opened again with the same key goes on after the last whole batch. The finished
 * file has the same bytes as that of an uninterrupted run. */
#include "search/codes.h"
#include "search/lexical.h"

/* What made the vectors; a file of another key is refused. */
typedef struct vectors_key {
    char model[65];     /* identifier of the checkpoint */
    char tokenizer[65]; /* hash of the tokenizer */
    int64_t dim;
} vectors_key;
bool vectors_key_equal(const vectors_key *a, const vectors_key *b);

typedef struct vectors_writer vectors_writer;
/* Opens or resumes folder/vectors-<hash of key>.part. Part files of other keys are removed:
 * a new model has made them useless. */
status vectors_writer_open(const char *folder, const vectors_key *key, vectors_writer **out);
int64_t vectors_writer_count(const vectors_writer *w); /* rows already there */
int64_t
vectors_writer_last_id(const vectors_writer *w); /* go on behind this one; -1: from the start */
/* Appends n rows [n, dim], ids ascending (ERR_ARG; so are rows that are not finite). Durable at the
 * latest 2 s and 4,096 rows later. */
status vectors_writer_add(vectors_writer *w, const int64_t *ids, const float *rows, int64_t n);
status vectors_writer_sync(vectors_writer *w); /* durable now */
/* Writes the segment and removes the part file. w must still be closed. */
status vectors_writer_finish(vectors_writer *w, char name[SEGMENT_NAME]);
/* NULL is a no-op. Without finish the part file stays for the next run, synced. */
void vectors_writer_close(vectors_writer *w);

typedef struct vectors {
    vectors_key key;
    int64_t n;
    const int64_t *ids;       /* [n], mapped */
    const float *rows;        /* [n, key.dim], mapped */
    const uint8_t *codes;     /* [codes_blocks(n), SCAN_ROWS * codes_width(dim)], mapped */
    const code_bound *bounds; /* [codes_blocks(n)], mapped; both NULL in files of version 1 */
    void *file;
} vectors;
/* want: ERR_STATE when the file was made by another model or tokenizer (the sentence names
 * both); NULL takes any. */
status vectors_open(const char *folder, const char *name, const vectors_key *want, vectors *out);
void vectors_close(vectors *v);                              /* of a zeroed struct: a no-op */
status vectors_verify(const char *folder, const char *name); /* reads every byte */

/* One segment out of several of one key, without the deleted ids. */
status vectors_merge(const char *folder, const char *const *names, int n_names, id_list deleted,
                     char name[SEGMENT_NAME]);
#endif
