/**
 * Shared by the test programs that run in the place of a ledger: they send one
 * request to PSDB at a time, and write distinguishable bytes.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/text.h"
#include "psdb/message.h"

#define DATA ((uint8_t *)AT_DATA)

/* Returns byte `at` of the bytes with this seed: lines of letters. */
static inline uint8_t client_byte(uint32_t seed, uint64_t at) {
    return at % 64 == 63 ? '\n' : (uint8_t)('a' + (seed * 7 + at * 11 + at / 64) % 26);
}

static inline void client_fill(uint32_t seed, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) DATA[i] = client_byte(seed, i);
}

static inline bool client_same(uint32_t seed, uint64_t at, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        if (DATA[i] != client_byte(seed, at + i)) return false;
    }
    return true;
}

static inline void client_say(const char *what, uint64_t number) {
    struct text text = {0};
    text_add(&text, what);
    text_number(&text, number);
    console(text.bytes);
}

#endif
