/* Ed25519 verification without the cofactor, like Go's crypto/ed25519, OpenSSL and packages/tlog. */
#ifndef ED25519_ED25519_H
#define ED25519_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reports whether R, the first half of the signature, is the encoding of [S]B - [k]A (RFC 8032,
 * section 5.1.7), with S below the group's order. The code that reads a key decides which keys to refuse.
 */
bool ed25519_check(const uint8_t signature[64], const uint8_t key[32], const uint8_t *message, size_t length);

#endif
