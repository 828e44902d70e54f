/* Base64 (RFC 4648, section 4) and UTF-8 (RFC 3629), both strict. */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the characters of base64 for `length` bytes. */
static inline size_t base64_length(size_t length) {
    return (length + 2) / 3 * 4;
}

/* Writes base64_length(length) characters. */
void base64_encode(char *text, const uint8_t *bytes, size_t length);
/*
 * Decodes at most length / 4 * 3 bytes, and sets `*count` to their number. Returns false if the text is not
 * the canonical encoding of any bytes.
 */
bool base64_decode(uint8_t *bytes, size_t *count, const char *text, size_t length);

/* Reports whether the bytes are UTF-8 without a NUL. */
bool utf8_is_text(const uint8_t *bytes, size_t length);

#endif
