/* SHA-256 (FIPS 180-4) for protection domains; the implementation is Mbed TLS's. */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_STATE 112
#define SHA256_BYTES 32

/* `state`: SHA256_STATE bytes, aligned to 8. */
void sha256_begin(void *state);
void sha256_add(void *state, const uint8_t *bytes, size_t length);
void sha256_end(void *state, uint8_t digest[SHA256_BYTES]);

#endif
