/* Base64 (RFC 4648, section 4) and UTF-8 (RFC 3629), both strict. */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of base64 that `length` bytes become. */
static inline size_t base64_length(size_t length) {
    return (length + 2) / 3 * 4;
}

/* Writes base64_length(length) characters. */
void base64_encode(char *text, const uint8_t *bytes, size_t length);
/*
 * Writes at most length / 4 * 3 bytes, and how many they are to `*count`. False: it is not what
 * base64_encode() makes of any bytes.
 */
bool base64_decode(uint8_t *bytes, size_t *count, const char *text, size_t length);

/* False: it is not UTF-8, or there is a NUL in it. */
bool utf8_is_text(const uint8_t *bytes, size_t length);

#endif
