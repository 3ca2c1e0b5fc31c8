#ifndef RAGLAN_NN_SAFETENSORS_H
#define RAGLAN_NN_SAFETENSORS_H
/* safetensors files (8-byte header length, JSON header, raw little-endian data): read through a
 * mapping, written as a stream. Everything in a file is checked before use: lengths, offsets,
 * overlaps, dtypes, shapes. F32, F16, BF16, I64, I32, U8 are known. */
#include "util/file.h"
#include "util/json.h"
#include "nn/params.h"

typedef struct st_tensor {
    const char *name, *dtype;
    int n_dims;
    int64_t shape[8];
    const uint8_t *at; /* into the mapping */
    size_t bytes;
} st_tensor;
typedef struct st_file st_file;
status st_open(const char *path, st_file **out);
void st_close(st_file *f);
int64_t st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, int64_t i);
const st_tensor *st_find(const st_file *f, const char *name);
const char *st_meta(const st_file *f, const char *key); /* "__metadata__", NULL when absent */
status st_copy_f32(const st_tensor *t, float *out, int64_t n); /* converts F16/BF16/F32 */
void st_file_sha1(const st_file *f, char hex[41]);             /* of all the file's bytes */

typedef struct st_writer st_writer;
st_writer *st_writer_new(void);
void st_writer_free(st_writer *w);
void st_writer_meta(st_writer *w, const char *key, const char *value);
void st_writer_add(st_writer *w, const char *name, const char *dtype, int n_dims,
                   const int64_t *shape, const void *bytes); /* borrowed until saved */
/* Adds the checksum of all metadata and data so far, so that the file proves itself; call last. */
void st_writer_seal(st_writer *w);
/* ERR_FORMAT where the bytes are not those that were sealed, or no seal is there. */
status st_verify(const st_file *f, const char *path);
void st_writer_sha1(const st_writer *w, char hex[41]); /* of the file's bytes, nothing is written */
/* Durable write to PATH; sha1 of the file's bytes into hex when not NULL. */
status st_writer_save(st_writer *w, const char *path, char hex[41]);

/* A model's parameters into w (names as they are), or out of a file: every tensor must be there
 * with its shape, and no other; ERR_FORMAT names the first that is not, with both shapes. */
void st_add_params(st_writer *w, const params *p);
status st_load_params(const st_file *f, params *p, const char *path);
/* The same without a copy, for parameters that are only read: their values are the mapped file from
 * now on, and on success p closes f. What is not F32 is converted and copied as above. */
status st_map_params(st_file *f, params *p, const char *path);
/* AdamW's moments, under "m." and "v." names. */
void st_add_moments(st_writer *w, const params *p, const adamw *o);
status st_load_moments(const st_file *f, params *p, adamw *o, const char *path);
#endif
