#ifndef RAGLAN_NN_ST_INT_H
#define RAGLAN_NN_ST_INT_H
/* What the safetensors reader and writer share. */
#include "nn/safetensors.h"
#include "util/hash.h"

#include <string.h>

#define ST_SEAL "sha1" /* the metadata key of the file's own checksum, see st_writer_seal */

size_t st_dtype_bytes(const char *dtype); /* 0: unknown */

/* One metadata entry as the seal counts it: lengths first, so that no two lists look alike. */
static inline void st_seal_add(sha1 *h, const char *key, const char *value) {
    uint64_t n[2] = {strlen(key), value ? strlen(value) : 0};
    sha1_add(h, n, sizeof n);
    sha1_add(h, key, n[0]);
    if (value) sha1_add(h, value, n[1]);
}

#endif
