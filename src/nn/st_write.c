/* Writing safetensors. The header is made from what was added; the tensors' bytes go from
 * where they lie to the file (or the hash) without a copy. The header is filled with blanks
 * so that the data begins at a multiple of 64 bytes: a mapped F32 tensor is aligned. */
#include "nn/safetensors.h"
#include "nn/st_int.h"

#include <stdlib.h>

typedef struct piece {
    const void *at;
    size_t bytes;
} piece;

struct st_writer {
    json_t *header; /* {"name": {...}} in the order of adding */
    json_t *meta;
    piece *at; /* [n] the tensors' bytes, borrowed */
    int64_t n, cap;
    uint64_t data_bytes;
};

st_writer *st_writer_new(void) {
    st_writer *w = xcalloc(1, sizeof *w);
    w->header = json_object();
    w->meta = json_object();
    return w;
}

void st_writer_free(st_writer *w) {
    if (!w) return;
    json_decref(w->header);
    json_decref(w->meta);
    free(w->at);
    free(w);
}

void st_writer_meta(st_writer *w, const char *key, const char *value) {
    MUST(!json_object_set_new(w->meta, key, json_string(value)), "'%s' is not UTF-8", key);
}

void st_writer_add(st_writer *w, const char *name, const char *dtype, int n_dims,
                   const int64_t *shape, const void *bytes) {
    MUST(st_dtype_bytes(dtype), "tensor '%s': dtype '%s'", name, dtype);
    MUST(!json_object_get(w->header, name), "two tensors named '%s'", name);
    json_t *extents = json_array();
    size_t n = st_dtype_bytes(dtype);
    for (int d = 0; d < n_dims; d++) {
        json_array_append_new(extents, json_integer(shape[d]));
        n *= (size_t)shape[d];
    }
    json_t *offsets = json_array(), *entry = json_object();
    json_array_append_new(offsets, json_integer((json_int_t)w->data_bytes));
    json_array_append_new(offsets, json_integer((json_int_t)(w->data_bytes + n)));
    json_object_set_new(entry, "dtype", json_string(dtype));
    json_object_set_new(entry, "shape", extents);
    json_object_set_new(entry, "data_offsets", offsets);
    MUST(!json_object_set_new(w->header, name, entry), "tensor name '%s' is not UTF-8", name);
    GROW(w->at, w->n, w->cap);
    w->at[w->n++] = (piece){bytes, n};
    w->data_bytes += n;
}

void st_writer_seal(st_writer *w) {
    sha1 *h = sha1_new();
    const char *key;
    json_t *value;
    json_object_foreach(w->meta, key, value) st_seal_add(h, key, json_string_value(value));
    for (int64_t i = 0; i < w->n; i++) sha1_add(h, w->at[i].at, w->at[i].bytes);
    char hex[41];
    sha1_end(h, hex);
    st_writer_meta(w, ST_SEAL, hex);
}

/* Length and header as they stand in the file. */
static void make_header(const st_writer *w, buf *b) {
    json_t *whole = json_object();
    if (json_object_size(w->meta)) json_object_set(whole, "__metadata__", w->meta);
    json_object_update(whole, w->header);
    char *text = json_line(whole);
    size_t n = strlen(text), filled = (8 + n + 63) / 64 * 64 - 8;
    for (int i = 0; i < 8; i++) buf_putc(b, (char)(filled >> 8 * i & 255));
    buf_add(b, text, n);
    while (n++ < filled) buf_putc(b, ' ');
    free(text);
    json_decref(whole);
}

void st_writer_sha1(const st_writer *w, char hex[41]) {
    buf head = {0};
    make_header(w, &head);
    sha1 *h = sha1_new();
    sha1_add(h, head.at, head.len);
    for (int64_t i = 0; i < w->n; i++) sha1_add(h, w->at[i].at, w->at[i].bytes);
    sha1_end(h, hex);
    buf_clear(&head);
}

static status write_pieces(const st_writer *w, file_writer *f) {
    buf head = {0};
    make_header(w, &head);
    status st = file_writer_add(f, head.at, head.len);
    buf_clear(&head);
    for (int64_t i = 0; i < w->n && !st; i++) st = file_writer_add(f, w->at[i].at, w->at[i].bytes);
    return st;
}

status st_writer_save(st_writer *w, const char *path, char hex[41]) {
    file_writer *f;
    TRY(file_writer_open(path, &f));
    status st = write_pieces(w, f);
    if (st) {
        file_writer_abort(f);
        return st;
    }
    TRY(file_writer_commit(f, NULL));
    if (hex) st_writer_sha1(w, hex);
    return OK;
}
