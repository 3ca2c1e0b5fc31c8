#ifndef RAGLAN_DATA_INGEST_H
#define RAGLAN_DATA_INGEST_H
/* Ingest: files of many formats into the store, one record at a time, so that memory does not
 * grow with a file. A format is one row in formats.def and one file read_NAME.c. */
#include "store/store.h"
#include "util/file.h"

typedef struct ingest_counts {
    int64_t added, unchanged, replaced, skipped, removed;
} ingest_counts;
typedef struct ingest_skip {
    char *path, *reason;
} ingest_skip;
typedef struct ingest_report {
    ingest_counts documents, questions;
    ingest_skip *skips; /* [n_skips] left-out files or records: at most 20 a file, 1,000 in all */
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
 * the rest goes on. Commits between two files, once 2,000 records or two seconds have come together
 * since the last time; within a file only where it alone comes to as much; and at the end. After a
 * kill the same call again finds the committed unchanged and goes on. ERR_ARG: unknown format; a
 * path that does not exist (the others were read); ERR_STOPPED: what was read is kept; the store's
 * own errors.
 *
 * What a file gave in an earlier run and holds no longer is removed, if all of the file could be
 * read. Standard input or a pipe is another one each time: it removes nothing, and its texts
 * replace no others.
 *
 * Twice in one run. An id that was met before in this run is not replaced: the same content is
 * unchanged, other content is skipped with a reason, so that reading again finds everything
 * unchanged. A question that stands in several files (TriviaQA's in web and wikipedia) gets the
 * answers and documents of all of them. The run remembers two million ids. */
status ingest_paths(store *s, const char *const *paths, int n, const ingest_options *o,
                    ingest_report *out);

/* ---- for readers ---- */

typedef struct ingest ingest;
typedef struct ingest_file {
    ingest *in;
    const char *path;   /* as given or found below a given folder; "-" is stdin */
    const char *format; /* the reader's name */
    reader *r;          /* open, at its beginning; NULL: path is a folder */
    store_split split;  /* chosen by the option or by the file's name */
    bool split_given;   /* by the option: a reader must not change it */
    bool is_stream;     /* its path is no place: what it gives has no uri but its own */
    int64_t line;       /* where the record begins that is being put, for messages; 0: unknown */
} ingest_file;

/* A record into the store; format and path are filled in. Malformed UTF-8, NUL bytes, no text,
 * a list that is none: skipped with a reason, OK. Questions: split is the file's unless the reader
 * set file->split. */
status ingest_document(ingest_file *f, const store_document *d);
status ingest_question(ingest_file *f, const store_question *q);
/* A document of another file than f's, read in f's course (evidence beside its questions). */
status ingest_document_of(ingest_file *f, const char *path, const store_document *d);
/* A record (or all of a file) that could not be made out, and why. Counts nothing: ++ the counter
 * that it belongs to. */
void ingest_skip_record(ingest_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same of what is left out though it was understood: a duplicate, a missing other file. */
void ingest_remark(ingest_file *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
ingest_report *ingest_counts_of(ingest_file *f);
/* Has this name been asked about in this run? Remembers it. */
bool ingest_met(ingest_file *f, const char *what, const char *name);
/* Reads one file of a folder as `f->format`, in a reader's folder_read: opens it, calls read with
 * a copy of f; what is wrong with the file itself is skipped with a reason. */
status ingest_part(const ingest_file *folder, const char *path, status (*read)(ingest_file *f));

/* The split that words of a name say: "dev-v1.1.json", "test-without-answers". */
bool split_of_words(const char *name, store_split *out);
/* The first file of the two, `folder`/`name` and the same with .gz, that exists; NULL: none.
 * Caller frees. */
char *file_or_gz(const char *folder, const char *name);

/* The first bytes as a reader's `knows` sees them. */
typedef struct ingest_head {
    const char *path;
    const char *at; /* [n], decompressed, at most 64 KiB; NUL-terminated */
    size_t n;
} ingest_head;

/* A reader. knows: 0 = not mine, higher = surer. read: streams the file's records from f->r.
 * Formats that are whole folders have the other two as well (else NULL). */
typedef struct ingest_format {
    const char *name, *about;
    int (*knows)(const ingest_head *h);
    status (*read)(ingest_file *f);
    bool (*folder_knows)(const char *path);
    status (*folder_read)(ingest_file *f);
} ingest_format;

/* Defined by read_NAME.c; declared here for each row. */
#define FORMAT(name, about)                                                                        \
    int name##_knows(const ingest_head *h);                                                        \
    status name##_read(ingest_file *f);
#define FOLDER_FORMAT(name, about)                                                                 \
    FORMAT(name, about)                                                                            \
    bool name##_folder_knows(const char *path);                                                    \
    status name##_folder_read(ingest_file *f);
#include "data/formats.def"
#undef FORMAT
#undef FOLDER_FORMAT
#endif
