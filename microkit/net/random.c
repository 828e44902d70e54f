#include "net/random.h"

#include "lib/domain.h"
#include "lib/random.h"

#include <string.h>

static uint64_t numbers_key[2];
static uint64_t sequences_key[2];

static uint64_t rotate_left(uint64_t number, unsigned bits) {
    return number << bits | number >> (64 - bits);
}

static void rounds(uint64_t v[4], unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0], v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2], v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

/* Hashes 16 bytes, passed as two words. */
static uint64_t siphash(const uint64_t key[2], uint64_t first, uint64_t second) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    const uint64_t words[] = {first, second, UINT64_C(16) << 56};
    for (unsigned i = 0; i < 3; i++) {
        v[3] ^= words[i];
        rounds(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool random_begin(void) {
    const struct random_page *page = (const struct random_page *)AT_RANDOM;
    const uint32_t count = __atomic_load_n(&page->count, __ATOMIC_ACQUIRE);
    if (count == 0 || count % 2 != 0) return false;
    memcpy(numbers_key, page->bytes, sizeof numbers_key);
    memcpy(sequences_key, page->bytes + sizeof numbers_key, sizeof sequences_key);
    return true;
}

uint32_t random_number(void) {
    static uint64_t counter;
    return (uint32_t)siphash(numbers_key, counter++, 0);
}

/* RFC 6528: a counter that advances every 4 microseconds, plus a keyed hash of the connection. */
uint32_t random_sequence(uint32_t local, uint16_t local_port, uint32_t remote, uint16_t remote_port) {
    const uint64_t addresses = (uint64_t)local << 32 | remote;
    const uint64_t hash = siphash(sequences_key, addresses, (uint64_t)local_port << 16 | remote_port);
    return (uint32_t)hash + (uint32_t)(ticks() / (ticks_per_second() / 250000));
}
