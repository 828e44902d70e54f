#include "ledger/random.h"

#include <monocypher.h>
#include <string.h>

#define KEY_BYTES 32u

static uint8_t key[KEY_BYTES];

void random_add(const uint8_t *bytes, size_t length) {
    crypto_blake2b_ctx hash;
    crypto_blake2b_init(&hash, KEY_BYTES);
    crypto_blake2b_update(&hash, key, KEY_BYTES);
    crypto_blake2b_update(&hash, bytes, length);
    crypto_blake2b_final(&hash, key);
    crypto_wipe(&hash, sizeof hash);
}

void random_take(uint8_t *bytes, size_t length) {
    static const uint8_t nonce[8];
    uint8_t next[64];
    crypto_chacha20_djb(next, NULL, sizeof next, key, nonce, 0);
    crypto_chacha20_djb(bytes, NULL, length, key, nonce, 1);
    memcpy(key, next, KEY_BYTES);
    crypto_wipe(next, sizeof next);
}
