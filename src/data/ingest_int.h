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
    double committed_s;
    bool open;     /* a transaction is */
    status failed; /* what the store said; OK: nothing went wrong there */
    uint64_t *met; /* [MET_SLOTS] hashes of ids, the last at each slot; NULL until needed */
    arena *scratch;
    progress bar;
};

enum { MET_SLOTS = 1 << 20 };

const ingest_format *ingest_find_format(const char *name);
status ingest_path(ingest *in, const char *path);
#endif
