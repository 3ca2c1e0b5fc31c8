#ifndef RAGLAN_UTIL_FILE_H
#define RAGLAN_UTIL_FILE_H
/* Files: reading (plain, .gz, stdin), mapping, walking, and writing that survives a crash.
 * The one door to zlib. All errors name the path and errno's text. */
#include "util/mem.h"

/* Streaming reader; a gzip file is recognised by its magic bytes, not its name; "-" is stdin.
 * A named pipe waits for who writes to it. ERR_STOPPED after Ctrl+C in a wait for input. */
typedef struct reader reader;
status reader_open(const char *path, reader **out);
void reader_close(reader *r); /* NULL is a no-op */
/* Reads up to n bytes; *got 0 at the end. ERR_FORMAT on a damaged or truncated gzip stream. */
status reader_read(reader *r, void *bytes, size_t n, size_t *got);
/* What comes next, without taking it: up to 64 KiB, fewer only where the file ends before.
 * Borrowed until the next call. */
status reader_peek(reader *r, const char **bytes, size_t *n);
/* The next line without its \n (and \r before it) into line (reset first); *more false at
 * the end. A line longer than 1 GiB is ERR_FORMAT. NUL bytes are kept. */
status reader_line(reader *r, buf *line, bool *more);
int64_t reader_line_number(const reader *r); /* of the line last returned, from 1 */
const char *reader_path(const reader *r);

/* A whole file (decompressed) of at most max_bytes (0: 4 GiB) into b. */
status file_read(const char *path, size_t max_bytes, buf *b);

/* A read-only mapping; bytes NULL and size 0 for an empty file. */
typedef struct file_map {
    const uint8_t *at;
    size_t size;
} file_map;
status file_map_open(const char *path, file_map *out);
void file_map_close(file_map *m);

/* Durable, atomic replacement: writes PATH.new, then fsync, rename, fsync of the folder.
 * Until commit the old file stays; after a failure or abort PATH.new is gone. A device, a pipe or
 * a link (/dev/stdout) is not replaced but written to. */
typedef struct file_writer file_writer;
status file_writer_open(const char *path, file_writer **out);
status file_writer_add(file_writer *w, const void *bytes, size_t n);
status file_writer_printf(file_writer *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int64_t file_writer_offset(const file_writer *w); /* bytes written so far */
/* Commits under the path given at open, or under `path` when not NULL (same folder). Frees w. */
status file_writer_commit(file_writer *w, const char *path);
void file_writer_abort(file_writer *w);                           /* frees w; NULL is a no-op */
status file_write(const char *path, const void *bytes, size_t n); /* the four calls in one */

bool file_exists(const char *path);
bool file_is_folder(const char *path);
bool file_is_stream(const char *path);      /* "-", a pipe, a terminal: what cannot be read again */
int64_t file_size(const char *path);        /* -1 when absent */
status file_make_folders(const char *path); /* mkdir -p */
status file_remove(const char *path);       /* absent is fine; the folder is fsynced */

/* Calls fn for each regular file under path (or for path itself), folders in byte order,
 * depth first; names that begin with a dot are left out; links to folders are not followed. */
status file_walk(const char *path, status (*fn)(void *arg, const char *path), void *arg);

/* One writer a home: takes an exclusive lock on path and writes the process id into it.
 * ERR_BUSY names the holder's process id. The lock ends with the process. */
status file_lock(const char *path, int *fd);
void file_unlock(int fd);
#endif
