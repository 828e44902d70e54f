#include "ed25519/ed25519.h"

/* Monocypher's check multiplies by the cofactor, and its arithmetic is static: so include its source. */
/* NOLINTNEXTLINE(bugprone-suspicious-include): see above. */
#include <monocypher.c>

#include <monocypher-ed25519.h>
#include <string.h>

#define WINDOW 4
#define MULTIPLES 15

/* product = [scalar]point. The time depends on the scalar. That is safe, because the scalar is public. */
static void point_times(ge *product, const ge *point, const uint8_t scalar[32]) {
    ge_cached multiples[MULTIPLES];
    ge multiple = *point, scratch;
    ge_cache(&multiples[0], point);
    for (int i = 1; i < MULTIPLES; i++) {
        ge_add(&multiple, &multiple, &multiples[0]);
        ge_cache(&multiples[i], &multiple);
    }
    ge_zero(product);
    for (int digit = 63; digit >= 0; digit--) {
        for (int i = 0; i < WINDOW; i++) ge_double(product, product, &scratch);
        const int value = (scalar[digit / 2] >> (digit % 2 * WINDOW)) & MULTIPLES;
        if (value != 0) ge_add(product, product, &multiples[value - 1]);
    }
}

/* k = SHA-512(R || A || message) modulo the group's order. */
static void challenge_of(uint8_t k[32], const uint8_t r[32], const uint8_t key[32], const uint8_t *message,
                         size_t length) {
    uint8_t hash[64];
    crypto_sha512_ctx context;
    crypto_sha512_init(&context);
    crypto_sha512_update(&context, r, 32);
    crypto_sha512_update(&context, key, 32);
    crypto_sha512_update(&context, message, length);
    crypto_sha512_final(&context, hash);
    crypto_eddsa_reduce(k, hash);
}

bool ed25519_check(const uint8_t signature[64], const uint8_t key[32], const uint8_t *message,
                   size_t length) {
    uint32_t s[8];
    uint8_t k[32], encoded[32];
    ge minus_a, minus_ka, sum;
    ge_cached cached;
    load32_le_buf(s, signature + 32, 8);
    if (is_above_l(s) || ge_frombytes_neg_vartime(&minus_a, key) != 0) return false;
    challenge_of(k, signature, key, message, length);
    point_times(&minus_ka, &minus_a, k);
    ge_scalarmult_base(&sum, signature + 32);
    ge_cache(&cached, &minus_ka);
    ge_add(&sum, &sum, &cached);
    ge_tobytes(encoded, &sum);
    return memcmp(encoded, signature, 32) == 0;
}
