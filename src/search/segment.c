/* Segment files: writing them in one pass, mapping and checking them. See segment_int.h. */
#include "search/segment_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/hash.h"

#define HEAD_MAGIC "RAGSEG1\n"
#define TAIL_MAGIC "RAGSEGE\n"
enum { HEAD = 16, PIECE = 1 << 20, ALIGN = 64 };

_Static_assert(sizeof(segment_section) == 40, "the table's entries are stored as they are");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are stored little-endian");

/* The hash of a section so far and of its next piece. */
static uint64_t chain(uint64_t so_far, const void *piece, size_t n) {
    uint64_t pair[2] = {so_far, hash64(piece, n)};
    return hash64(pair, sizeof pair);
}

/* ---- writing ---- */

struct segment_writer {
    file_writer *file;
    char *folder;
    char head[HEAD];
    uint8_t *piece; /* [PIECE] collects small writes; the unit of hashing */
    size_t n_piece;
    segment_section table[SEGMENT_SECTIONS];
    int n_sections;
};

status segment_writer_open(const char *folder, const char *kind, segment_writer **out) {
    char *path = xasprintf("%s/%s.seg", folder, kind);
    file_writer *file = NULL;
    status st = file_writer_open(path, &file);
    free(path);
    if (st) return st;
    segment_writer *w = xcalloc(1, sizeof *w);
    w->file = file;
    w->folder = xstrdup(folder);
    w->piece = xmalloc(PIECE);
    memcpy(w->head, HEAD_MAGIC, 8);
    MUST(strlen(kind) <= 8, "kind '%s' is longer than 8 bytes", kind);
    memcpy(w->head + 8, kind, strlen(kind));
    st = file_writer_add(w->file, w->head, HEAD);
    if (st) {
        segment_abort(w);
        return st;
    }
    *out = w;
    return OK;
}

static status piece_flush(segment_writer *w) {
    if (!w->n_piece) return OK;
    segment_section *s = &w->table[w->n_sections - 1];
    s->hash = chain(s->hash, w->piece, w->n_piece);
    s->bytes += w->n_piece;
    TRY(file_writer_add(w->file, w->piece, w->n_piece));
    w->n_piece = 0;
    return OK;
}

static status pad(segment_writer *w) {
    static const char zeros[ALIGN];
    int64_t over = file_writer_offset(w->file) % ALIGN;
    return over ? file_writer_add(w->file, zeros, (size_t)(ALIGN - over)) : OK;
}

status segment_begin(segment_writer *w, const char *section) {
    MUST(w->n_sections < SEGMENT_SECTIONS, "section '%s' is one too many", section);
    MUST(strlen(section) < sizeof w->table->name, "section name '%s' is too long", section);
    TRY(piece_flush(w));
    TRY(pad(w));
    segment_section *s = &w->table[w->n_sections++];
    memcpy(s->name, section, strlen(section));
    s->offset = (uint64_t)file_writer_offset(w->file);
    return OK;
}

status segment_add(segment_writer *w, const void *bytes, size_t n) {
    MUST(w->n_sections > 0, "%zu bytes before any section", n);
    const uint8_t *from = bytes;
    while (n > 0) {
        size_t take = PIECE - w->n_piece < n ? PIECE - w->n_piece : n;
        memcpy(w->piece + w->n_piece, from, take);
        w->n_piece += take;
        from += take;
        n -= take;
        if (w->n_piece == PIECE) TRY(piece_flush(w));
    }
    return OK;
}

/* The identity of a file: the hash of its head and table. */
static uint64_t identity(const void *head, const segment_section *table, int64_t n) {
    uint64_t pair[2] = {hash64(head, HEAD), hash64(table, (size_t)n * sizeof *table)};
    return hash64(pair, sizeof pair);
}

static void name_of(const char *head, uint64_t id, char name[SEGMENT_NAME]) {
    snprintf(name, SEGMENT_NAME, "%.8s-%016" PRIx64 ".seg", head + 8, id);
}

static status write_table(segment_writer *w, uint64_t id) {
    uint64_t n = (uint64_t)w->n_sections;
    TRY(piece_flush(w));
    TRY(pad(w));
    TRY(file_writer_add(w->file, w->table, n * sizeof *w->table));
    TRY(file_writer_add(w->file, &n, sizeof n));
    TRY(file_writer_add(w->file, &id, sizeof id));
    return file_writer_add(w->file, TAIL_MAGIC, 8);
}

status segment_commit(segment_writer *w, char name[SEGMENT_NAME]) {
    status st = piece_flush(w);
    uint64_t id = identity(w->head, w->table, w->n_sections);
    if (!st) st = write_table(w, id);
    if (!st) {
        char file[SEGMENT_NAME];
        name_of(w->head, id, file);
        char *path = xasprintf("%s/%s", w->folder, file);
        st = file_writer_commit(w->file, path);
        w->file = NULL; /* freed by commit */
        free(path);
        if (!st) memcpy(name, file, SEGMENT_NAME);
    }
    segment_abort(w);
    return st;
}

void segment_abort(segment_writer *w) {
    if (!w) return;
    file_writer_abort(w->file);
    free(w->folder);
    free(w->piece);
    free(w);
}

/* ---- reading ---- */

status segment_parse(const uint8_t *at, size_t size, const char *what, const char *kind, bool check,
                     segment *out) {
    if (size < HEAD + SEGMENT_TRAILER || memcmp(at, HEAD_MAGIC, 8) != 0)
        FAIL(ERR_FORMAT, "%s: not a search segment; run `raglan check --repair`", what);
    if (strncmp((const char *)at + 8, kind, 8) != 0)
        FAIL(ERR_FORMAT, "%s: holds '%.8s', wanted '%s'", what, (const char *)at + 8, kind);
    if (memcmp(at + size - 8, TAIL_MAGIC, 8) != 0)
        FAIL(ERR_FORMAT, "%s: truncated at %zu bytes; run `raglan check --repair`", what, size);
    uint64_t n, id;
    memcpy(&n, at + size - SEGMENT_TRAILER, 8);
    memcpy(&id, at + size - SEGMENT_TRAILER + 8, 8);
    size_t end = size - SEGMENT_TRAILER; /* of the table */
    if (n > SEGMENT_SECTIONS || end - HEAD < n * sizeof(segment_section) ||
        (end - n * sizeof(segment_section)) % 8 != 0)
        FAIL(ERR_FORMAT, "%s: damaged trailer (%" PRIu64 " sections); run `raglan check --repair`",
             what, n);
    size_t begin = end - n * sizeof(segment_section);
    const segment_section *table = (const segment_section *)(at + begin);
    if (check && identity(at, table, (int64_t)n) != id)
        FAIL(ERR_FORMAT, "%s: damaged table of sections; run `raglan check --repair`", what);
    for (uint64_t i = 0; i < n; i++)
        if (table[i].offset % ALIGN != 0 || table[i].offset > begin ||
            table[i].bytes > begin - table[i].offset)
            FAIL(ERR_FORMAT, "%s: section %" PRIu64 " lies outside the file", what, i);
    *out = (segment){
        .at = at, .size = size, .table = table, .n_sections = (int64_t)n, .path = xstrdup(what)};
    return OK;
}

status segment_open(const char *folder, const char *name, const char *kind, segment *out) {
    char *path = xasprintf("%s/%s", folder, name);
    file_map map = {0};
    segment s = {0};
    status st = file_exists(path) ? file_map_open(path, &map)
                                  : err_set(ERR_IO, __FILE__, __LINE__,
                                            "%s: is missing; run `raglan check --repair`", path);
    if (!st) st = segment_parse(map.at, map.size, path, kind, true, &s);
    if (!st) {
        uint64_t id;
        char real[SEGMENT_NAME];
        memcpy(&id, map.at + map.size - SEGMENT_TRAILER + 8, 8);
        name_of((const char *)map.at, id, real);
        if (strcmp(real, name) != 0)
            st = err_set(ERR_FORMAT, __FILE__, __LINE__, "%s: its content is that of %s", path,
                         real);
    }
    free(path);
    if (st) {
        free(s.path);
        file_map_close(&map);
        return st;
    }
    s.map = map;
    *out = s;
    return OK;
}

void segment_close(segment *s) {
    file_map_close(&s->map);
    free(s->path);
    *s = (segment){0};
}

static const segment_section *find(const segment *s, const char *section) {
    for (int64_t i = 0; i < s->n_sections; i++)
        if (strncmp(s->table[i].name, section, sizeof s->table->name) == 0) return &s->table[i];
    return NULL;
}

status segment_get(const segment *s, const char *section, size_t item_bytes, int64_t n,
                   const void **at, int64_t *found) {
    const segment_section *t = find(s, section);
    if (!t) FAIL(ERR_FORMAT, "%s: has no section '%s'", s->path, section);
    if (t->bytes % item_bytes != 0 || (n >= 0 && t->bytes / item_bytes != (uint64_t)n))
        FAIL(ERR_FORMAT,
             "%s: section '%s' has %" PRIu64 " bytes, wanted %" PRId64 " items of %zu bytes",
             s->path, section, t->bytes, n, item_bytes);
    *at = s->at + t->offset;
    if (found) *found = (int64_t)(t->bytes / item_bytes);
    return OK;
}

status segment_verify(const segment *s) {
    for (int64_t i = 0; i < s->n_sections; i++) {
        const segment_section *t = &s->table[i];
        uint64_t hash = 0;
        for (uint64_t done = 0; done < t->bytes; done += PIECE) {
            uint64_t n = t->bytes - done < PIECE ? t->bytes - done : PIECE;
            hash = chain(hash, s->at + t->offset + done, (size_t)n);
        }
        if (hash != t->hash)
            FAIL(ERR_FORMAT, "%s: section '%.16s' is damaged; run `raglan check --repair`", s->path,
                 t->name);
    }
    return OK;
}
