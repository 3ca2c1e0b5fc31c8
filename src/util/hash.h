#ifndef RAGLAN_UTIL_HASH_H
#define RAGLAN_UTIL_HASH_H
/* Hashes: SHA-1 names checkpoints and content (git's choice; identity, not security);
 * XXH3 for checksums and tables. The one door to libcrypto and libxxhash. */
#include "util/err.h"

typedef struct sha1 sha1;
sha1 *sha1_new(void);
void sha1_add(sha1 *h, const void *bytes, size_t n);
void sha1_end(sha1 *h, char hex[41]); /* writes 40 lower-case digits and NUL, frees h */
void sha1_hex(const void *bytes, size_t n, char hex[41]);
uint64_t hash64(const void *bytes, size_t n);
#endif
