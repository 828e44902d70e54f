/* Seeded random numbers: splitmix64. */
#ifndef PSDB_TEST_RANDOM_H
#define PSDB_TEST_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random) {
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to n - 1. */
static inline uint64_t random_below(struct random *random, uint64_t n) {
    return random_next(random) % n;
}

/* Returns true in `percent` of 100 cases. */
static inline bool random_chance(struct random *random, unsigned percent) {
    return random_below(random, 100) < percent;
}

/* A seed and a length determine the bytes of an object. */
static inline void random_bytes(uint64_t seed, uint8_t *bytes, size_t length) {
    struct random random = {seed};
    for (size_t i = 0; i < length;) {
        uint64_t word = random_next(&random);
        for (int k = 0; k < 8 && i < length; k++, word >>= 8) bytes[i++] = (uint8_t)word;
    }
}

#endif
