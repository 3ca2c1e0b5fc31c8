/* The header says how many rows there are, but stands before them: rows go to PATH.rows first, and
 * are put behind the header when all are there. */
#include "data/npy.h"

#include <stdlib.h>

#include "util/file.h"

struct npy {
    char *path, *rows_path;
    file_writer *rows;
    int64_t dim[2], n, row_items;
    int n_dims;
};

enum { PIECE = 1 << 20, ALIGN = 64, FIXED = 10 /* magic, version, length */ };

status npy_open(const char *path, const int64_t *row, int n_row, npy **out) {
    MUST(n_row >= 0 && n_row <= 2, "%d dimensions of a row", n_row);
    npy *a = xcalloc(1, sizeof *a);
    a->path = xstrdup(path);
    a->rows_path = xasprintf("%s.rows", path);
    a->n_dims = n_row;
    a->row_items = 1;
    for (int i = 0; i < n_row; i++) a->row_items *= a->dim[i] = row[i];
    status st = file_writer_open(a->rows_path, &a->rows);
    if (st)
        npy_abort(a);
    else
        *out = a;
    return st;
}

status npy_add(npy *a, const int32_t *row) {
    a->n++;
    return file_writer_add(a->rows, row, (size_t)a->row_items * sizeof *row);
}

int64_t npy_rows(const npy *a) {
    return a->n;
}

/* Magic, version, length of the dictionary, the dictionary padded so that the data is aligned. */
static status write_header(const npy *a, file_writer *w) {
    buf b = {0};
    buf_printf(&b, "{'descr': '<i4', 'fortran_order': False, 'shape': (%lld,", (long long)a->n);
    for (int i = 0; i < a->n_dims; i++)
        buf_printf(&b, "%s%lld", i ? ", " : " ", (long long)a->dim[i]);
    buf_puts(&b, "), }");
    while ((FIXED + b.len + 1) % ALIGN) buf_putc(&b, ' ');
    buf_putc(&b, '\n');
    status st = file_writer_add(w, "\x93NUMPY\x01\x00", 8);
    uint8_t length[2] = {(uint8_t)(b.len & 255), (uint8_t)(b.len >> 8)};
    if (!st) st = file_writer_add(w, length, 2);
    if (!st) st = file_writer_add(w, b.at, b.len);
    buf_clear(&b);
    return st;
}

static status join(const npy *a) {
    file_map rows = {0};
    file_writer *w = NULL;
    TRY(file_map_open(a->rows_path, &rows));
    status st = file_writer_open(a->path, &w);
    if (!st) st = write_header(a, w);
    for (size_t i = 0; i < rows.size && !st; i += PIECE)
        st = file_writer_add(w, rows.at + i, rows.size - i < PIECE ? rows.size - i : PIECE);
    file_map_close(&rows);
    if (!st) return file_writer_commit(w, NULL);
    file_writer_abort(w);
    return st;
}

status npy_close(npy *a) {
    status st = file_writer_commit(a->rows, NULL);
    a->rows = NULL;
    if (!st) st = join(a);
    if (!st) st = file_remove(a->rows_path);
    npy_abort(a);
    return st;
}

void npy_abort(npy *a) {
    if (!a) return;
    file_writer_abort(a->rows);
    free(a->path);
    free(a->rows_path);
    free(a);
}
