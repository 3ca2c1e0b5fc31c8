/* Streaming reading, plain or gzip (RFC 1952, several members one after another included),
 * in two windows of 64 KiB: memory does not grow with the file. The door to zlib. */
#include "util/file.h"
#include "util/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define WINDOW    ((size_t)1 << 16)
#define LINE_MOST ((size_t)1 << 30)
#define FILE_MOST ((size_t)4 << 30)

/* Bytes come from fd into raw; a plain file is handed out from there, a gzip file is
 * inflated into text first. [at, end) is what the next reader_read returns. */
struct reader {
    char *path;
    int fd;
    bool is_gzip, in_member, at_eof; /* at_eof: of fd */
    z_stream z;                      /* its next_in, avail_in: what is left in raw */
    const uint8_t *at, *end;
    int64_t line;
    uint8_t raw[WINDOW], text[WINDOW];
};

/* Reads into raw behind the n bytes that are there. A signal that asks to stop ends a wait
 * for standard input. */
static status fill_raw(reader *r, size_t n, size_t *got) {
    *got = 0;
    while (!r->at_eof) {
        ssize_t k = read(r->fd, r->raw + n, WINDOW - n);
        if (k < 0 && errno == EINTR) {
            if (stop_requested()) FAIL(ERR_STOPPED, "%s: reading was stopped", r->path);
            continue;
        }
        if (k < 0) FAIL(ERR_IO, "%s: cannot read: %s", r->path, strerror(errno));
        if (k == 0) r->at_eof = true;
        *got = (size_t)k;
        break;
    }
    return OK;
}

/* Decides by the magic bytes 1f 8b and method 8 (deflate). */
static status look_at_start(reader *r) {
    size_t n = 0, got;
    while (n < 3 && !r->at_eof) {
        TRY(fill_raw(r, n, &got));
        n += got;
    }
    r->is_gzip = n >= 3 && r->raw[0] == 0x1f && r->raw[1] == 0x8b && r->raw[2] == 8;
    if (!r->is_gzip) {
        r->at = r->raw;
        r->end = r->raw + n;
        return OK;
    }
    if (inflateInit2(&r->z, 15 + 16) != Z_OK) FAIL(ERR_MEM, "%s: zlib cannot start", r->path);
    r->z.next_in = r->raw;
    r->z.avail_in = (uInt)n;
    r->in_member = true;
    return OK;
}

/* A named pipe opens when somebody writes to it; a signal that asks to stop ends that wait too. */
static status open_to_read(const char *path, int *fd) {
    while ((*fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        if (errno != EINTR) FAIL(ERR_IO, "%s: cannot open: %s", path, strerror(errno));
        if (stop_requested()) FAIL(ERR_STOPPED, "%s: reading was stopped", path);
    }
    return OK;
}

status reader_open(const char *path, reader **out) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = STDIN_FILENO;
    struct stat s;
    if (!is_stdin) TRY(open_to_read(path, &fd));
    if (!is_stdin && fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) {
        close(fd);
        FAIL(ERR_IO, "%s: is a folder, wanted a file", path);
    }
    reader *r = xcalloc(1, sizeof *r);
    r->path = xstrdup(is_stdin ? "standard input" : path);
    r->fd = fd;
    status st = look_at_start(r);
    if (st)
        reader_close(r);
    else
        *out = r;
    return st;
}

void reader_close(reader *r) {
    if (!r) return;
    if (r->is_gzip) inflateEnd(&r->z);
    if (r->fd != STDIN_FILENO) close(r->fd);
    free(r->path);
    free(r);
}

/* More compressed input, if none is left; *more false at the end of the file. */
static status need_input(reader *r, bool *more) {
    if (r->z.avail_in == 0) {
        size_t got;
        TRY(fill_raw(r, 0, &got));
        r->z.next_in = r->raw;
        r->z.avail_in = (uInt)got;
    }
    *more = r->z.avail_in > 0;
    return OK;
}

/* Between members: zero bytes are padding (tapes, disk images), another member may follow.
 * *more false at the end of the file. */
static status next_member(reader *r, bool *more) {
    for (;;) {
        TRY(need_input(r, more));
        if (!*more) return OK;
        if (*r->z.next_in != 0) break;
        r->z.next_in++;
        r->z.avail_in--;
    }
    if (inflateReset(&r->z) != Z_OK) FAIL(ERR_MEM, "%s: zlib cannot start again", r->path);
    r->in_member = true;
    return OK;
}

/* Inflates behind what is in text; adds nothing only at the end of the file. */
static status inflate_more(reader *r) {
    for (bool more, grown = false; !grown;) {
        if (!r->in_member) {
            TRY(next_member(r, &more));
            if (!more) return OK;
        }
        TRY(need_input(r, &more));
        if (!more)
            FAIL(ERR_FORMAT,
                 "%s: the gzip data ends too early: the file was cut short, fetch it again",
                 r->path);
        size_t used = (size_t)(r->end - r->text);
        r->z.next_out = r->text + used;
        r->z.avail_out = (uInt)(WINDOW - used);
        int code = inflate(&r->z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            FAIL(ERR_FORMAT, "%s: damaged gzip data: %s", r->path,
                 r->z.msg ? r->z.msg : "zlib gives no reason");
        if (code == Z_STREAM_END) r->in_member = false;
        grown = r->z.next_out > r->text + used;
        r->end = r->z.next_out;
    }
    return OK;
}

/* Makes [at, end) non-empty unless the file has ended. */
static status fill(reader *r) {
    if (r->at < r->end) return OK;
    if (r->is_gzip) {
        r->at = r->end = r->text;
        return inflate_more(r);
    }
    size_t got;
    TRY(fill_raw(r, 0, &got));
    r->at = r->raw;
    r->end = r->raw + got;
    return OK;
}

status reader_read(reader *r, void *bytes, size_t n, size_t *got) {
    size_t done = 0;
    while (done < n) {
        status st = fill(r);
        /* What came before a damaged place is handed out first; the next call fails again. */
        if (st && done == 0) return st;
        size_t k = st ? 0 : (size_t)(r->end - r->at);
        if (k == 0) break;
        if (k > n - done) k = n - done;
        memcpy((char *)bytes + done, r->at, k);
        r->at += k;
        done += k;
    }
    *got = done;
    return OK;
}

status reader_peek(reader *r, const char **bytes, size_t *n) {
    uint8_t *window = r->is_gzip ? r->text : r->raw;
    size_t have = (size_t)(r->end - r->at);
    if (have) memmove(window, r->at, have);
    r->at = window;
    r->end = window + have;
    while (have < WINDOW) {
        size_t got;
        status st = r->is_gzip ? inflate_more(r) : fill_raw(r, have, &got);
        /* As in reader_read: what came before a damaged place counts. */
        if (st && have == 0) return st;
        if (!st && !r->is_gzip) r->end += got;
        if (st || (size_t)(r->end - r->at) == have) break;
        have = (size_t)(r->end - r->at);
    }
    *bytes = (const char *)r->at;
    *n = (size_t)(r->end - r->at);
    return OK;
}

status reader_line(reader *r, buf *line, bool *more) {
    buf_reset(line);
    buf_add(line, "", 0); /* even an empty line is a string */
    bool any = false;
    for (;;) {
        TRY(fill(r));
        size_t k = (size_t)(r->end - r->at);
        if (k == 0) break;
        any = true;
        const uint8_t *newline = memchr(r->at, '\n', k);
        if (newline) k = (size_t)(newline - r->at);
        if (line->len + k > LINE_MOST)
            FAIL(ERR_FORMAT, "%s:%lld: the line is longer than 1 GiB", r->path,
                 (long long)r->line + 1);
        buf_add(line, r->at, k);
        r->at += k + (newline != NULL);
        if (!newline) continue;
        if (line->len && line->at[line->len - 1] == '\r') line->at[--line->len] = 0;
        break;
    }
    r->line += any;
    *more = any;
    return OK;
}

int64_t reader_line_number(const reader *r) {
    return r->line;
}

const char *reader_path(const reader *r) {
    return r->path;
}

status file_read(const char *path, size_t max_bytes, buf *b) {
    if (!max_bytes) max_bytes = FILE_MOST;
    reader *r;
    TRY(reader_open(path, &r));
    status st = OK;
    buf_add(b, "", 0);
    for (size_t total = 0;;) {
        st = fill(r);
        size_t k = st ? 0 : (size_t)(r->end - r->at);
        if (k == 0) break;
        total += k;
        if (total > max_bytes) {
            st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s: is larger than %zu bytes", r->path,
                         max_bytes);
            break;
        }
        buf_add(b, r->at, k);
        r->at = r->end;
    }
    reader_close(r);
    return st;
}
