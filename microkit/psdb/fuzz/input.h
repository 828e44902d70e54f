/* Reads a fuzzer's input piece by piece. Zeros follow its end. */
#ifndef PSDB_FUZZ_INPUT_H
#define PSDB_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t take_byte(struct input *input) {
    if (input->left == 0) return 0;
    input->left--;
    return *input->at++;
}

static inline uint32_t take_short(struct input *input) {
    uint32_t low = take_byte(input);
    return low | (uint32_t)take_byte(input) << 8;
}

static inline void take_bytes(struct input *input, void *out, size_t length) {
    for (size_t i = 0; i < length; i++) ((uint8_t *)out)[i] = take_byte(input);
}

/* Takes an index: mostly a small one, or one near a limit. */
static inline uint64_t take_index(struct input *input) {
    static const uint64_t far[] = {999,
                                   1000,
                                   (9007199254740991u >> 16) - 1,
                                   9007199254740991u >> 16,
                                   (9007199254740991u >> 8) - 1,
                                   9007199254740991u >> 8,
                                   9007199254740990u,
                                   9007199254740991u,
                                   9007199254740992u,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   UINT64_MAX};
    uint8_t byte = take_byte(input);
    if (byte < 128) return byte % 16u;
    if (byte < 230) return byte % 8u * 256u + byte / 128u;
    return far[byte % (sizeof far / sizeof far[0])];
}

#endif
