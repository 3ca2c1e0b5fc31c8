/* Hashes: SHA-1 through libcrypto's EVP interface, XXH3 from libxxhash. */
#include "util/hash.h"
#include "util/mem.h"

#define ERR_STATE openssl_err_state /* libcrypto has a type of the name of our status code */
#include <openssl/evp.h>
#undef ERR_STATE
#include <stdlib.h>
#include <xxhash.h>

struct sha1 {
    EVP_MD_CTX *context;
};

sha1 *sha1_new(void) {
    sha1 *h = xmalloc(sizeof *h);
    h->context = EVP_MD_CTX_new();
    MUST(h->context && EVP_DigestInit_ex(h->context, EVP_sha1(), NULL) == 1,
         "libcrypto refuses SHA-1");
    return h;
}

void sha1_add(sha1 *h, const void *bytes, size_t n) {
    MUST(EVP_DigestUpdate(h->context, bytes, n) == 1, "libcrypto fails at %zu bytes", n);
}

void sha1_end(sha1 *h, char hex[41]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    MUST(EVP_DigestFinal_ex(h->context, digest, &n) == 1 && n == 20, "digest of %u bytes", n);
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[40] = 0;
    EVP_MD_CTX_free(h->context);
    free(h);
}

void sha1_hex(const void *bytes, size_t n, char hex[41]) {
    sha1 *h = sha1_new();
    sha1_add(h, bytes, n);
    sha1_end(h, hex);
}

uint64_t hash64(const void *bytes, size_t n) {
    return XXH3_64bits(bytes, n);
}
