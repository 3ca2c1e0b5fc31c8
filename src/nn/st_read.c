/* Reading safetensors: 8 bytes of header length, a JSON header, then the tensors' bytes.
 *
 *   {"__metadata__": {"key": "value"},
 *    "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
 *
 * A file comes from anywhere, so nothing in it is believed: the header must lie inside the
 * file, each tensor's length must be what its shape and dtype say, and the tensors must cover
 * the data without gap or overlap (the format's own rule, which also bounds every pointer). */
#include "nn/safetensors.h"
#include "nn/st_int.h"

#include "util/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MOST 100000000 /* the format's own bound */

struct st_file {
    file_map map;
    json_t *header;     /* owns the names */
    const json_t *meta; /* "__metadata__" in header, or NULL */
    st_tensor *at;      /* [n] by place in the file */
    int64_t n, cap;
    size_t data_at; /* first byte of the data */
};

size_t st_dtype_bytes(const char *dtype) {
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"U8", 1}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(dtype, known[i].name)) return known[i].bytes;
    return 0;
}

static status read_shape(const json_t *shape, st_tensor *t, size_t *elements, const char *path) {
    if (!json_is_array(shape)) FAIL(ERR_FORMAT, "%s: tensor '%s' has no shape", path, t->name);
    if (json_array_size(shape) > 8)
        FAIL(ERR_FORMAT, "%s: tensor '%s' has %zu dimensions, at most 8 are read", path, t->name,
             json_array_size(shape));
    t->n_dims = (int)json_array_size(shape);
    *elements = 1;
    for (int d = 0; d < t->n_dims; d++) {
        const json_t *extent = json_array_get(shape, (size_t)d);
        json_int_t n = json_is_integer(extent) ? json_integer_value(extent) : -1;
        if (n < 0)
            FAIL(ERR_FORMAT, "%s: tensor '%s': dimension %d is no whole number", path, t->name, d);
        if (__builtin_mul_overflow(*elements, (size_t)n, elements))
            FAIL(ERR_FORMAT, "%s: tensor '%s' is larger than memory can be", path, t->name);
        t->shape[d] = n;
    }
    return OK;
}

/* One entry of the header. Its bytes are placed, but gaps and overlaps are seen only by
 * check_cover. */
static status read_entry(const st_file *f, const char *name, const json_t *entry, const char *path,
                         st_tensor *t) {
    *t = (st_tensor){.name = name, .dtype = json_str(entry, "dtype", "")};
    size_t width = st_dtype_bytes(t->dtype), elements, data = f->map.size - f->data_at;
    if (!width)
        FAIL(ERR_FORMAT, "%s: tensor '%s' has dtype '%s', wanted F32, F16, BF16, I64, I32 or U8",
             path, name, t->dtype);
    TRY(read_shape(json_object_get(entry, "shape"), t, &elements, path));
    if (__builtin_mul_overflow(elements, width, &t->bytes))
        FAIL(ERR_FORMAT, "%s: tensor '%s' is larger than memory can be", path, name);

    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e))
        FAIL(ERR_FORMAT, "%s: tensor '%s' has no data_offsets [begin, end]", path, name);
    json_int_t begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin || (uint64_t)end > data)
        FAIL(ERR_FORMAT,
             "%s: tensor '%s' lies at bytes %" PRId64 "..%" PRId64
             " of %zu bytes of data: the file was cut short or damaged",
             path, name, (int64_t)begin, (int64_t)end, data);
    if ((size_t)(end - begin) != t->bytes)
        FAIL(ERR_FORMAT, "%s: tensor '%s' takes %" PRId64 " bytes, its shape wants %zu", path, name,
             (int64_t)(end - begin), t->bytes);
    t->at = f->map.at + f->data_at + begin;
    return OK;
}

static int by_place(const void *a, const void *b) {
    const st_tensor *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* an empty tensor before its neighbour */
}

static status check_cover(st_file *f, const char *path) {
    if (f->n) qsort(f->at, (size_t)f->n, sizeof *f->at, by_place);
    const uint8_t *next = f->map.at + f->data_at, *end = f->map.at + f->map.size;
    for (int64_t i = 0; i < f->n; i++) {
        if (f->at[i].at != next)
            FAIL(ERR_FORMAT, "%s: tensor '%s' %s", path, f->at[i].name,
                 f->at[i].at < next ? "overlaps the one before it" : "follows a gap");
        next += f->at[i].bytes;
    }
    if (next != end)
        FAIL(ERR_FORMAT, "%s: %zu bytes after the last tensor belong to none", path,
             (size_t)(end - next));
    return OK;
}

static status read_header(st_file *f, const char *path) {
    uint64_t n = 0;
    if (f->map.size < 8)
        FAIL(ERR_FORMAT, "%s: %zu bytes are no safetensors file", path, f->map.size);
    for (int i = 7; i >= 0; i--) n = n << 8 | f->map.at[i];
    if (n > f->map.size - 8 || n > HEADER_MOST)
        FAIL(ERR_FORMAT,
             "%s: a header of %" PRIu64 " bytes does not fit a file of %zu: "
             "cut short, damaged or no safetensors file",
             path, n, f->map.size);
    TRY(json_parse((const char *)f->map.at + 8, (size_t)n, path, &f->header));
    if (!json_is_object(f->header)) FAIL(ERR_FORMAT, "%s: the header is no JSON object", path);
    f->data_at = 8 + (size_t)n;
    f->meta = json_object_get(f->header, "__metadata__");

    const char *name;
    json_t *entry;
    json_object_foreach(f->header, name, entry) {
        if (entry == f->meta) continue;
        GROW(f->at, f->n, f->cap);
        TRY(read_entry(f, name, entry, path, &f->at[f->n]));
        f->n++;
    }
    return check_cover(f, path);
}

status st_open(const char *path, st_file **out) {
    st_file *f = xcalloc(1, sizeof *f);
    status st = file_map_open(path, &f->map);
    if (!st) st = read_header(f, path);
    if (st)
        st_close(f);
    else
        *out = f;
    return st;
}

void st_close(st_file *f) {
    if (!f) return;
    free(f->at);
    json_decref(f->header);
    file_map_close(&f->map);
    free(f);
}

int64_t st_count(const st_file *f) {
    return f->n;
}

const st_tensor *st_at(const st_file *f, int64_t i) {
    MUST(i >= 0 && i < f->n, "tensor %" PRId64 " of %" PRId64, i, f->n);
    return &f->at[i];
}

const st_tensor *st_find(const st_file *f, const char *name) {
    for (int64_t i = 0; i < f->n; i++)
        if (!strcmp(f->at[i].name, name)) return &f->at[i];
    return NULL;
}

const char *st_meta(const st_file *f, const char *key) {
    return json_str(f->meta, key, NULL);
}

void st_file_sha1(const st_file *f, char hex[41]) {
    sha1_hex(f->map.at, f->map.size, hex);
}

status st_verify(const st_file *f, const char *path) {
    const char *wanted = st_meta(f, ST_SEAL), *key;
    if (!wanted) FAIL(ERR_FORMAT, "%s: carries no checksum", path);
    sha1 *h = sha1_new();
    json_t *value, *meta = (json_t *)f->meta;
    json_object_foreach(meta, key, value) {
        if (strcmp(key, ST_SEAL)) st_seal_add(h, key, json_string_value(value));
    }
    sha1_add(h, f->map.at + f->data_at, f->map.size - f->data_at);
    char found[41];
    sha1_end(h, found);
    if (strcmp(found, wanted))
        FAIL(ERR_FORMAT, "%s: damaged: its bytes hash to %s, it says %s", path, found, wanted);
    return OK;
}

/* IEEE half precision: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 1023, bits;
    float out;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        out = (float)fraction * 0x1p-24f;
        return sign ? -out : out;
    }
    if (exponent == 31)
        bits = sign | 0x7f800000u | fraction << 13;
    else
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&out, &bits, sizeof out);
    return out;
}

status st_copy_f32(const st_tensor *t, float *out, int64_t n) {
    size_t width = st_dtype_bytes(t->dtype);
    if (t->dtype[0] != 'F' && t->dtype[0] != 'B')
        FAIL(ERR_FORMAT, "tensor '%s' holds %s, wanted F32, F16 or BF16", t->name, t->dtype);
    if (n < 0 || t->bytes / width != (size_t)n)
        FAIL(ERR_FORMAT, "tensor '%s' has %zu values, wanted %" PRId64, t->name, t->bytes / width,
             n);
    if (width == 4) {
        if (n) memcpy(out, t->at, t->bytes);
        return OK;
    }
    bool is_bf16 = t->dtype[0] == 'B';
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, t->at + 2 * i, 2);
        uint32_t bits = (uint32_t)h << 16;
        if (is_bf16)
            memcpy(&out[i], &bits, 4);
        else
            out[i] = from_f16(h);
    }
    return OK;
}
