#ifndef RAGLAN_SEARCH_MANIFEST_H
#define RAGLAN_SEARCH_MANIFEST_H
/* The manifest: which segment files make up the index, what made them, which passages are
 * deleted, how scores are fused. <folder>/manifest.json, replaced atomically: readers see the
 * old index or the new one. The store holds the truth; a lost index costs a rebuild. */
#include "search/fusion.h"
#include "search/vectors.h"

typedef struct manifest_segment {
    char file[SEGMENT_NAME];
    int64_t n;                 /* passages */
    int64_t first_id, last_id; /* -1 when empty */
} manifest_segment;

typedef struct manifest {
    int64_t generation; /* 0: nothing was ever written */
    char cut[65];       /* hash of how documents are cut into passages */
    manifest_segment *lexical;
    int n_lexical;
    char language[32]; /* stemmer of the lexical segments */
    manifest_segment *vectors;
    int n_vectors;
    vectors_key key;  /* of all vector segments; dim 0: none */
    int64_t *deleted; /* ascending: in a segment, no longer in the store */
    int64_t n_deleted;
    fusion fuse;
    bool is_tuned; /* fuse was chosen on dev questions, not by default */
} manifest;

void manifest_init(manifest *m); /* empty, fusion_default */
void manifest_clear(manifest *m);
/* Absent: an empty manifest, OK. ERR_FORMAT: damaged (broken JSON, checksum, impossible value, a
 * name that leaves the folder); m is empty then. */
status manifest_read(const char *folder, manifest *m);
/* Writes generation + 1 durably; m->generation is updated. */
status manifest_write(const char *folder, manifest *m);

/* Opens the segment, appends it to the list, fills n, first_id, last_id. A vector segment must have
 * m->key, or sets it where there is none. An empty segment is not appended. */
status manifest_add_lexical(const char *folder, manifest *m, const char *name);
status manifest_add_vectors(const char *folder, manifest *m, const char *name);
void manifest_drop_lexical(manifest *m); /* empties the list */
void manifest_drop_vectors(manifest *m); /* and the key */
/* Adds ids to deleted (any order; known ones and ones in no segment's range are left out). */
void manifest_delete(manifest *m, const int64_t *ids, int64_t n);
/* Greatest id in any lexical (vector) segment, -1 if none: what the next segment goes on from. */
int64_t manifest_last_lexical(const manifest *m);
int64_t manifest_last_vector(const manifest *m);
id_list manifest_deleted(const manifest *m);

/* Merges all segments of each kind into one and empties deleted; writes the manifest, then removes
 * the old files. */
status manifest_compact(const char *folder, manifest *m);

/* Reads every byte of every file named. Each fault is a sentence given to report; *n_faults counts
 * them. */
status manifest_check(const char *folder, const manifest *m,
                      void (*report)(void *arg, const char *sentence), void *arg,
                      int64_t *n_faults);

/* Removes segment files that m does not name and unfinished ones; part files of vectors stay
 * (vectors_writer_open sees to those). Readers that have a removed file open keep it. */
status manifest_sweep(const char *folder, const manifest *m);
#endif
