/* Writing vectors so that a kill costs at most two seconds of work.
 *
 * The part file is a head (whose vectors these are) and batches, each appended in one write
 * and then fsynced:
 *
 *   head    magic, key, hash of both
 *   batch   n u64, hash of ids and rows, ids [n] int64, rows [n, dim] f32, padded to 8 bytes
 *
 * Opening reads the batches until one is broken or short, and cuts the file there. Finishing
 * copies ids and rows into a segment, in which the batches' borders no longer show. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search/vectors_int.h"
#include "util/hash.h"
#include "util/log.h"

enum { BATCH_ROWS = 4096 };
#define BATCH_S 2.0

typedef struct part_head {
    char magic[8];
    char model[72], tokenizer[72]; /* NUL-padded */
    int64_t dim;
    uint64_t hash; /* of all before */
} part_head;

typedef struct batch_head {
    uint64_t n, hash;
} batch_head;

struct vectors_writer {
    char *folder, *path;
    vectors_key key;
    int fd;
    int64_t count, last_id; /* those not yet synced included */
    int64_t *ids;           /* [BATCH_ROWS] the batch being filled */
    float *rows;            /* [BATCH_ROWS, dim] */
    int64_t n;
    double synced_s;
};

static part_head make_head(const vectors_key *key) {
    part_head h = {.magic = "RAGPART", .dim = key->dim};
    memcpy(h.model, key->model, strlen(key->model));
    memcpy(h.tokenizer, key->tokenizer, strlen(key->tokenizer));
    h.hash = hash64(&h, offsetof(part_head, hash));
    return h;
}

static size_t batch_bytes(uint64_t n, int64_t dim) {
    size_t rows = (size_t)n * (size_t)dim * sizeof(float);
    return sizeof(batch_head) + (size_t)n * sizeof(int64_t) + (rows + 7) / 8 * 8;
}

/* The whole batch at `at`, or false. */
static bool batch_at(const file_map *m, size_t at, int64_t dim, vectors_stretch *out) {
    batch_head h;
    if (m->size - at < sizeof h) return false;
    memcpy(&h, m->at + at, sizeof h);
    if (h.n < 1 || h.n > BATCH_ROWS || m->size - at < batch_bytes(h.n, dim)) return false;
    const uint8_t *body = m->at + at + sizeof h;
    if (hash64(body, batch_bytes(h.n, dim) - sizeof h) != h.hash) return false;
    out->n = (int64_t)h.n;
    out->ids = (const int64_t *)body;
    out->rows = (const float *)(out->ids + h.n);
    return true;
}

/* All whole batches of the mapped part file; *end is where the last one ends. */
static void scan_batches(const file_map *m, int64_t dim, vectors_stretch **parts, int64_t *n_parts,
                         size_t *end) {
    int64_t cap = 0;
    *parts = NULL;
    *n_parts = 0;
    *end = sizeof(part_head);
    vectors_stretch s;
    while (batch_at(m, *end, dim, &s)) {
        *end += batch_bytes((uint64_t)s.n, dim);
        GROW(*parts, *n_parts, cap);
        (*parts)[(*n_parts)++] = s;
    }
}

static status io_failed(const vectors_writer *w, const char *what) {
    FAIL(ERR_IO, "%s: cannot %s: %s", w->path, what, strerror(errno));
}

static status write_all(vectors_writer *w, const void *bytes, size_t n) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(w->fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return io_failed(w, "write");
        at += done;
        n -= (size_t)done;
    }
    return OK;
}

/* Takes up the batches of an earlier run; false if there are none of this key. */
static bool resume(vectors_writer *w, size_t *end) {
    file_map m = {0};
    if (!file_exists(w->path)) return false;
    if (file_map_open(w->path, &m) != OK) {
        err_clear();
        return false;
    }
    part_head want = make_head(&w->key);
    bool same = m.size >= sizeof want && memcmp(m.at, &want, sizeof want) == 0;
    if (same) {
        vectors_stretch *parts;
        int64_t n_parts;
        scan_batches(&m, w->key.dim, &parts, &n_parts, end);
        for (int64_t i = 0; i < n_parts; i++) {
            w->count += parts[i].n;
            w->last_id = parts[i].ids[parts[i].n - 1];
        }
        free(parts);
    }
    file_map_close(&m);
    return same;
}

static status open_part(vectors_writer *w) {
    size_t end = 0;
    bool resumed = resume(w, &end);
    w->fd = open(w->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->fd < 0) return io_failed(w, "open");
    if (ftruncate(w->fd, (off_t)end) != 0) return io_failed(w, "truncate");
    if (lseek(w->fd, (off_t)end, SEEK_SET) < 0) return io_failed(w, "seek");
    if (!resumed) {
        part_head h = make_head(&w->key);
        TRY(write_all(w, &h, sizeof h));
    }
    return fsync(w->fd) == 0 ? OK : io_failed(w, "sync");
}

static bool is_part(const char *name) {
    size_t n = strlen(name);
    return strncmp(name, "vectors-", 8) == 0 && n > 5 && strcmp(name + n - 5, ".part") == 0;
}

static void remove_other_parts(const char *folder, const char *mine) {
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (is_part(e->d_name) && strcmp(e->d_name, mine) != 0) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

status vectors_writer_open(const char *folder, const vectors_key *key, vectors_writer **out) {
    if (key->dim < 1 || key->dim > VECTORS_DIM_MAX)
        FAIL(ERR_ARG, "vectors of %" PRId64 " dims, wanted 1 to %d", key->dim, VECTORS_DIM_MAX);
    part_head h = make_head(key);
    char name[SEGMENT_NAME];
    snprintf(name, sizeof name, "vectors-%016" PRIx64 ".part", h.hash);
    remove_other_parts(folder, name);
    vectors_writer *w = xcalloc(1, sizeof *w);
    w->folder = xstrdup(folder);
    w->path = xasprintf("%s/%s", folder, name);
    w->key = *key;
    w->last_id = -1;
    w->synced_s = now_s();
    w->ids = xmalloc(BATCH_ROWS * sizeof *w->ids);
    w->rows = xmalloc(BATCH_ROWS * (size_t)key->dim * sizeof *w->rows);
    status st = open_part(w);
    if (st)
        vectors_writer_close(w);
    else
        *out = w;
    return st;
}

int64_t vectors_writer_count(const vectors_writer *w) {
    return w->count;
}

int64_t vectors_writer_last_id(const vectors_writer *w) {
    return w->last_id;
}

status vectors_writer_sync(vectors_writer *w) {
    w->synced_s = now_s();
    if (!w->n) return OK;
    size_t bytes = batch_bytes((uint64_t)w->n, w->key.dim);
    uint8_t *batch = xcalloc(1, bytes);
    size_t n_ids = (size_t)w->n * sizeof *w->ids;
    memcpy(batch + sizeof(batch_head), w->ids, n_ids);
    memcpy(batch + sizeof(batch_head) + n_ids, w->rows,
           (size_t)(w->n * w->key.dim) * sizeof *w->rows);
    batch_head h = {(uint64_t)w->n, hash64(batch + sizeof h, bytes - sizeof h)};
    memcpy(batch, &h, sizeof h);
    status st = write_all(w, batch, bytes);
    free(batch);
    if (!st && fdatasync(w->fd) != 0) st = io_failed(w, "sync");
    w->n = 0;
    return st;
}

status vectors_writer_add(vectors_writer *w, const int64_t *ids, const float *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + i * w->key.dim;
        if (ids[i] <= w->last_id)
            FAIL(ERR_ARG,
                 "vector of passage %" PRId64 " comes after that of %" PRId64 "; ids must ascend",
                 ids[i], w->last_id);
        for (int64_t j = 0; j < w->key.dim; j++)
            if (!isfinite(row[j]))
                FAIL(ERR_ARG,
                     "vector of passage %" PRId64 ": dimension %" PRId64 " is %g; the "
                     "model is broken",
                     ids[i], j, (double)row[j]);
        w->ids[w->n] = ids[i];
        memcpy(w->rows + w->n * w->key.dim, row, (size_t)w->key.dim * sizeof *row);
        w->n++;
        w->count++;
        w->last_id = ids[i];
        if (w->n == BATCH_ROWS) TRY(vectors_writer_sync(w));
    }
    return now_s() - w->synced_s >= BATCH_S ? vectors_writer_sync(w) : OK;
}

status vectors_writer_finish(vectors_writer *w, char name[SEGMENT_NAME]) {
    TRY(vectors_writer_sync(w));
    file_map m = {0};
    vectors_stretch *parts;
    int64_t n_parts, n = 0;
    size_t end;
    TRY(file_map_open(w->path, &m));
    scan_batches(&m, w->key.dim, &parts, &n_parts, &end);
    for (int64_t i = 0; i < n_parts; i++) n += parts[i].n;
    status st = n == w->count ? vectors_write(w->folder, &w->key, parts, n_parts, name)
                              : err_set(ERR_FORMAT, __FILE__, __LINE__,
                                        "%s: %" PRId64 " of %" PRId64 " vectors can be read back",
                                        w->path, n, w->count);
    free(parts);
    file_map_close(&m);
    return st ? st : file_remove(w->path);
}

void vectors_writer_close(vectors_writer *w) {
    if (!w) return;
    if (w->fd >= 0) {
        if (w->n && vectors_writer_sync(w) != OK) log_warn("%s", err_msg());
        close(w->fd);
    }
    free(w->folder);
    free(w->path);
    free(w->ids);
    free(w->rows);
    free(w);
}
