/* SHA-256 of OpenSSL, for the store and for the tests. */
#ifndef PSDB_TEST_SHA256_H
#define PSDB_TEST_SHA256_H

#include <stddef.h>
#include <stdint.h>

void sha256_begin(void *state);
void sha256_add(void *state, const uint8_t *bytes, size_t length);
void sha256_end(void *state, uint8_t digest[32]);
void sha256(const uint8_t *bytes, size_t length, uint8_t digest[32]);

#endif
