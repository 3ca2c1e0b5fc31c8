/* Writing that survives a crash. Until the rename the old file is what everybody sees; after
 * it the new one is, whole: its bytes reached the disk (fsync) before its name did. The
 * folder's own fsync makes the name survive a power cut (see Pillai et al. 2014, "All file
 * systems are not created equal"). */
#include "util/file.h"
#include "util/file_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 16)

struct file_writer {
    char *path, *temporary; /* temporary NULL: nothing that has to go */
    int fd;
    bool failed;
    int64_t offset;
    size_t held; /* bytes waiting in buffer */
    char buffer[BUFFER_BYTES];
};

/* Is there a device, a pipe or a link under this name? It is written to, never replaced. */
static bool is_no_file(const char *path) {
    struct stat s;
    return lstat(path, &s) == 0 && !S_ISREG(s.st_mode);
}

status file_writer_open(const char *path, file_writer **out) {
    char *temporary = is_no_file(path) ? NULL : xasprintf("%s.new", path);
    int fd = open(temporary ? temporary : path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        int e = errno;
        free(temporary);
        FAIL(ERR_IO, "%s: cannot write: %s", path, strerror(e));
    }
    file_writer *w = xmalloc(sizeof *w);
    w->path = xstrdup(path);
    w->temporary = temporary;
    w->fd = fd;
    w->failed = false;
    w->offset = 0;
    w->held = 0;
    *out = w;
    return OK;
}

/* The half-written file is of no use to anybody: it goes at once, so that a full disk gets
 * its space back. */
static status give_up(file_writer *w, int e) {
    w->failed = true;
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    if (w->temporary) unlink(w->temporary);
    free(w->temporary);
    w->temporary = NULL;
    FAIL(ERR_IO, "%s: cannot write: %s", w->path, strerror(e));
}

static status write_all(file_writer *w, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(w->fd, bytes, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return give_up(w, errno);
        bytes += written;
        n -= (size_t)written;
    }
    return OK;
}

static status flush(file_writer *w) {
    size_t n = w->held;
    w->held = 0;
    return write_all(w, w->buffer, n);
}

status file_writer_add(file_writer *w, const void *bytes, size_t n) {
    if (w->failed) FAIL(ERR_IO, "%s: an earlier write failed", w->path);
    if (n > BUFFER_BYTES - w->held) TRY(flush(w));
    if (n >= BUFFER_BYTES)
        TRY(write_all(w, bytes, n));
    else {
        memcpy(w->buffer + w->held, bytes, n);
        w->held += n;
    }
    w->offset += (int64_t)n;
    return OK;
}

status file_writer_printf(file_writer *w, const char *fmt, ...) {
    buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    status st = file_writer_add(w, text.at, text.len);
    buf_clear(&text);
    return st;
}

int64_t file_writer_offset(const file_writer *w) {
    return w->offset;
}

static status commit(file_writer *w, const char *path) {
    if (w->failed) FAIL(ERR_IO, "%s: an earlier write failed", w->path);
    TRY(flush(w));
    if (fsync(w->fd) != 0 && errno != EINVAL && errno != EROFS) return give_up(w, errno);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) return give_up(w, errno);
    if (!w->temporary) return OK;
    if (rename(w->temporary, path) != 0) return give_up(w, errno);
    free(w->temporary);
    w->temporary = NULL;
    return file_sync_folder_of(path);
}

status file_writer_commit(file_writer *w, const char *path) {
    status st = commit(w, path ? path : w->path);
    file_writer_abort(w);
    return st;
}

void file_writer_abort(file_writer *w) {
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary) unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w);
}

status file_write(const char *path, const void *bytes, size_t n) {
    file_writer *w;
    TRY(file_writer_open(path, &w));
    status st = file_writer_add(w, bytes, n);
    if (st) {
        file_writer_abort(w);
        return st;
    }
    return file_writer_commit(w, NULL);
}
