/* Adds eight bytes at a time. This file is compiled with unaligned access. */
#include "net/checksum.h"

typedef uint64_t __attribute__((aligned(1), may_alias)) word;

static uint64_t add_with_carry(uint64_t sum, uint64_t more) {
    sum += more;
    return sum + (sum < more);
}

uint16_t checksum(const void *bytes, int length) {
    const uint8_t *at = bytes;
    uint64_t sum = 0;
    for (; length >= 32; length -= 32, at += 32) {
        const word *words = (const word *)at;
        sum = add_with_carry(
            add_with_carry(add_with_carry(add_with_carry(sum, words[0]), words[1]), words[2]), words[3]);
    }
    for (; length >= 8; length -= 8, at += 8) sum = add_with_carry(sum, *(const word *)at);
    uint64_t rest = 0;
    for (int i = 0; i < length; i++) rest |= (uint64_t)at[i] << 8 * i;
    sum = add_with_carry(sum, rest);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
