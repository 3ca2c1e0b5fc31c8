#ifndef RAGLAN_SEARCH_SEGMENT_INT_H
#define RAGLAN_SEARCH_SEGMENT_INT_H
/* Segment: the container of every search file. Immutable, mapped, named by its content.
 *
 *   "RAGSEG1\n"  kind, 8 bytes, NUL-padded
 *   section      64-byte aligned, any bytes        } as many as the kind wants
 *   ...                                            }
 *   table        one entry a section: name [16], offset u64, bytes u64, hash u64
 *   trailer      sections u64, hash u64 of head + table, "RAGSEGE\n"
 *
 * Little-endian. A section's hash chains XXH3 over its pieces of 1 MiB; the trailer's hash
 * covers all of those and so is the file's identity, part of its name: KIND-HASH.seg. Opening
 * checks head, table and trailer (a truncated or foreign file is found); segment_verify
 * reads the sections too. */
#include "search/lexical.h"
#include "util/file.h"

enum { SEGMENT_SECTIONS = 8, SEGMENT_TRAILER = 24 };

/* ---- writing ---- */
typedef struct segment_writer segment_writer;
/* One writer of a kind in a folder at a time. */
status segment_writer_open(const char *folder, const char *kind, segment_writer **out);
status segment_begin(segment_writer *w, const char *section); /* ends the one before */
status segment_add(segment_writer *w, const void *bytes, size_t n);
/* Durable under its name. Frees w, whatever happens. */
status segment_commit(segment_writer *w, char name[SEGMENT_NAME]);
void segment_abort(segment_writer *w); /* NULL is a no-op */

/* ---- reading ---- */
typedef struct segment_section {
    char name[16];
    uint64_t offset, bytes, hash;
} segment_section;

typedef struct segment {
    const uint8_t *at;
    size_t size;
    const segment_section *table; /* in the mapping */
    int64_t n_sections;
    char *path;
    file_map map; /* empty when the bytes are the caller's */
} segment;
status segment_open(const char *folder, const char *name, const char *kind, segment *out);
/* The same over bytes in memory, borrowed, 8-byte aligned. check false: hashes are not compared
 * (fuzzing). */
status segment_parse(const uint8_t *at, size_t size, const char *what, const char *kind, bool check,
                     segment *out);
void segment_close(segment *s);
/* A section of n items of the given size; ERR_FORMAT when absent or of another size. n -1: any
 * number, given in *found. */
status segment_get(const segment *s, const char *section, size_t item_bytes, int64_t n,
                   const void **at, int64_t *found);
status segment_verify(const segment *s);

#endif
