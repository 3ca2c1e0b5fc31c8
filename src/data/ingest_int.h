#ifndef RAGLAN_DATA_INGEST_INT_H
#define RAGLAN_DATA_INGEST_INT_H
/* Shared by ingest.c (records into the store) and ingest_files.c (files to their readers). */
#include "data/ingest.h"
#include "util/log.h"

struct ingest {
    store *s;
    const ingest_options *o;
    const ingest_format *format; /* NULL: auto */
    ingest_report *out;
    int64_t skips_cap, n_records;
    int64_t in_transaction, in_file; /* records since the last commit; this file's of them */
    double committed_s, file_s;      /* when that was; when this file began, if later */
    int64_t skips_of_file;           /* in a row */
    uint64_t skipped_file;           /* hash of its path */
    bool open;                       /* a transaction is */
    status failed;                   /* what the store said; OK: nothing went wrong there */
    store_keys documents, questions; /* met in this run */
    int64_t n_unread, n_said;        /* records that could not be made out; sentences said */
    uint64_t *met;                   /* [cap_met] hashes of ids, 0: free */
    int64_t n_met, cap_met;
    arena *scratch;
    progress bar;
};

enum { MET_MOST = 1 << 22 }; /* slots of met: 32 MiB */

const ingest_format *ingest_find_format(const char *name);
status ingest_path(ingest *in, const char *path);
/* Commits, if it is time to, between files (in_file false) or within one. */
status ingest_commit_when_due(ingest *in, bool in_file);
/* Removes what the file gave in an earlier run and no longer holds. whole false: parts of it could
 * not be read, so that nobody knows; it is kept then, and said. */
status ingest_forget_rest(ingest_file *f, bool whole);
#endif
