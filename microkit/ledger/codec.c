#include "ledger/codec.h"

#define PAD 0xfe
#define NONE 0xff

static const char digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char digit_of(uint32_t value) {
    return digits[value & 63];
}

static uint32_t value_of(char character) {
    if (character >= 'A' && character <= 'Z') return (uint32_t)(character - 'A');
    if (character >= 'a' && character <= 'z') return (uint32_t)(character - 'a') + 26;
    if (character >= '0' && character <= '9') return (uint32_t)(character - '0') + 52;
    return character == '+' ? 62 : character == '/' ? 63 : character == '=' ? PAD : NONE;
}

void base64_encode(char *text, const uint8_t *bytes, size_t length) {
    for (; length >= 3; length -= 3, bytes += 3, text += 4) {
        const uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
        text[0] = digit_of(group >> 18);
        text[1] = digit_of(group >> 12);
        text[2] = digit_of(group >> 6);
        text[3] = digit_of(group);
    }
    if (length == 0) return;
    const uint32_t group = (uint32_t)bytes[0] << 16 | (length == 2 ? (uint32_t)bytes[1] << 8 : 0);
    text[0] = digit_of(group >> 18);
    text[1] = digit_of(group >> 12);
    text[2] = length == 2 ? digit_of(group >> 6) : '=';
    text[3] = '=';
}

/* Decodes the last four characters. Their unused bits must be zero. Returns the bytes, or 0 if invalid. */
static size_t decode_end(uint8_t *bytes, const char *text) {
    const uint32_t a = value_of(text[0]), b = value_of(text[1]), c = value_of(text[2]), d = value_of(text[3]);
    if (a > 63 || b > 63 || (c > 63 && (c != PAD || d != PAD)) || (d > 63 && d != PAD)) return 0;
    const size_t count = c == PAD ? 1 : d == PAD ? 2 : 3;
    const uint32_t group = a << 18 | b << 12 | (c & 63 & (c == PAD ? 0 : 63)) << 6 | (d == PAD ? 0 : d);
    if ((count == 1 && (group & 0xffff) != 0) || (count == 2 && (group & 0xff) != 0)) return 0;
    bytes[0] = (uint8_t)(group >> 16);
    if (count > 1) bytes[1] = (uint8_t)(group >> 8);
    if (count > 2) bytes[2] = (uint8_t)group;
    return count;
}

bool base64_decode(uint8_t *bytes, size_t *count, const char *text, size_t length) {
    *count = 0;
    if (length == 0) return true;
    if (length % 4 != 0) return false;
    for (; length > 4; length -= 4, text += 4) {
        const uint32_t a = value_of(text[0]), b = value_of(text[1]), c = value_of(text[2]),
                       d = value_of(text[3]);
        if ((a | b | c | d) > 63) return false;
        const uint32_t group = a << 18 | b << 12 | c << 6 | d;
        bytes[*count] = (uint8_t)(group >> 16);
        bytes[*count + 1] = (uint8_t)(group >> 8);
        bytes[*count + 2] = (uint8_t)group;
        *count += 3;
    }
    const size_t last = decode_end(bytes + *count, text);
    *count += last;
    return last > 0;
}

static bool is_continuation(uint8_t byte) {
    return (byte & 0xc0) == 0x80;
}

/* Returns the bytes of the character at `bytes`, of `left` in all, or 0 if it is invalid (RFC 3629, section
 * 4).
 */
static size_t character_length(const uint8_t *bytes, size_t left) {
    const uint8_t first = bytes[0];
    if (first < 0x80) return first != 0;
    if (first < 0xc2 || first > 0xf4) return 0;
    const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length > left) return 0;
    for (size_t i = 1; i < length; i++) {
        if (!is_continuation(bytes[i])) return 0;
    }
    const uint8_t second = bytes[1];
    const bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool is_surrogate = first == 0xed && second > 0x9f;
    const bool is_beyond = first == 0xf4 && second > 0x8f;
    return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

bool utf8_is_text(const uint8_t *bytes, size_t length) {
    while (length > 0) {
        const size_t one = character_length(bytes, length);
        if (one == 0) return false;
        bytes += one;
        length -= one;
    }
    return true;
}
