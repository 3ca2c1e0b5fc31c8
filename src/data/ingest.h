#ifndef RAGLAN_DATA_INGEST_H
#define RAGLAN_DATA_INGEST_H
/* Ingest: files of many formats into the store, one record at a time, so that memory does not
 * grow with a file. A format is one row in formats.def and one file read_NAME.c. */
#include "store/store.h"
#include "util/file.h"

typedef struct ingest_counts {
    int64_t added, unchanged, replaced, skipped;
} ingest_counts;
typedef struct ingest_skip {
    char *path, *reason;
} ingest_skip;
typedef struct ingest_report {
    ingest_counts documents, questions;
    ingest_skip *skips; /* [n_skips] files or records that were left out, at most 1,000 kept */
    int64_t n_skips;
} ingest_report;
void ingest_report_clear(ingest_report *r);

typedef struct ingest_options {
    const char *format; /* NULL or "auto": told from name and content */
    int split;          /* store_split, or -1: what the file says, else train */
} ingest_options;
/* "auto, text, jsonl, ..." for messages. */
const char *ingest_format_names(void);

/* Reads files and folders ("-": stdin) in order. What cannot be read is skipped with a reason,
 * the rest goes on; commits every few hundred records, so a kill loses nothing that was
 * reported and the same call again goes on. ERR_ARG: unknown format, a path that does not
 * exist; ERR_STOPPED: what was read is kept. */
status ingest_paths(store *s, const char *const *paths, int n, const ingest_options *o,
                    ingest_report *out);

/* ---- for readers ---- */

typedef struct ingest ingest;
typedef struct ingest_file {
    ingest *in;
    const char *path;   /* as given or found below a given folder; "-" is stdin */
    const char *format; /* the reader's name */
    store_split split;  /* chosen by the option or by the file's name */
    bool split_given;   /* by the option: a reader must not change it */
} ingest_file;

/* A record into the store; format and path are filled in. Malformed UTF-8, NUL bytes, or no text:
 * skipped with a reason, OK. Questions: split is the file's unless the reader set file->split. */
status ingest_document(ingest_file *f, const store_document *d);
status ingest_question(ingest_file *f, const store_question *q);
/* A record (or all of a file) that is left out, and why. */
void ingest_skip_record(ingest_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A reader. knows: 0 = not mine, higher = surer; head: the first bytes (decompressed), at most
 * 64 KiB, NUL-terminated. read: streams the file's records. */
typedef struct ingest_format {
    const char *name, *about;
    int (*knows)(const char *path, const char *head, size_t n);
    status (*read)(ingest_file *f);
} ingest_format;
#endif
