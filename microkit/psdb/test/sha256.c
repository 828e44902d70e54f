#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256.h"

#include "../store.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= PSDB_SHA256_STATE, "OpenSSL's state fits");

void sha256_begin(void *state) {
    (void)SHA256_Init(state);
}

void sha256_add(void *state, const uint8_t *bytes, size_t length) {
    (void)SHA256_Update(state, bytes, length);
}

void sha256_end(void *state, uint8_t digest[32]) {
    (void)SHA256_Final(digest, state);
}

void sha256(const uint8_t *bytes, size_t length, uint8_t digest[32]) {
    (void)SHA256(bytes, length, digest);
}
