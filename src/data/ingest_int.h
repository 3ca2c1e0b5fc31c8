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
    int64_t skips_cap, in_transaction, n_records;
    int64_t skips_of_file; /* in a row */
    uint64_t skipped_file; /* hash of its path */
    double committed_s;
    bool open;     /* a transaction is */
    status failed; /* what the store said; OK: nothing went wrong there */
    uint64_t *met; /* [cap_met] hashes of ids, 0: free */
    int64_t n_met, cap_met;
    arena *scratch;
    progress bar;
};

enum { MET_MOST = 1 << 22 }; /* slots of met: 32 MiB */

const ingest_format *ingest_find_format(const char *name);
status ingest_path(ingest *in, const char *path);
#endif
