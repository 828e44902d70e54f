#include "keys/note.h"

#include "ledger/codec.h"
#include "sha256/sha256.h"

#include <string.h>

#define TYPE_ED25519 1u
#define KEY_ID 4u
#define ROOT_TEXT 44u

/* SHA-256 of no bytes. */
static const uint8_t empty_root[NOTE_ROOT] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};

/* Takes `count` bytes and the line feed after them. */
static const char *take_line(const char **text, size_t *length, size_t count) {
    if (*length <= count || (*text)[count] != '\n') return NULL;
    const char *found = *text;
    *text += count + 1;
    *length -= count + 1;
    return found;
}

/* Reads a decimal number without leading zeros, up to NOTE_MOST. */
static bool read_size(const char *text, size_t length, uint64_t *size) {
    if (length == 0 || length > 16 || (text[0] == '0' && length > 1)) return false;
    *size = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *size = *size * 10 + (uint64_t)(text[i] - '0');
    }
    return *size <= NOTE_MOST;
}

static bool read_root(const char *text, uint8_t root[NOTE_ROOT]) {
    uint8_t bytes[ROOT_TEXT / 4 * 3];
    size_t count = 0;
    if (!base64_decode(bytes, &count, text, ROOT_TEXT) || count != NOTE_ROOT) return false;
    memcpy(root, bytes, NOTE_ROOT);
    return true;
}

bool note_read(const char *text, size_t length, const char *name, size_t name_length, uint64_t *size,
               uint8_t root[NOTE_ROOT]) {
    const char *origin = take_line(&text, &length, name_length);
    if (origin == NULL || memcmp(origin, name, name_length) != 0) return false;
    size_t digits = 0;
    while (digits < length && text[digits] != '\n') digits++;
    const char *decimal = take_line(&text, &length, digits);
    if (decimal == NULL || !read_size(decimal, digits, size)) return false;
    const char *hash = take_line(&text, &length, ROOT_TEXT);
    if (hash == NULL || length != 0 || !read_root(hash, root)) return false;
    return *size > 0 || memcmp(root, empty_root, NOTE_ROOT) == 0;
}

/* Makes SHA-256(name, line feed, type, public key), whose first bytes are the key ID. */
static void hash_key(const char *name, size_t length, const uint8_t public_key[NOTE_PUBLIC],
                     uint8_t id[SHA256_BYTES]) {
    static const uint8_t between[] = {'\n', TYPE_ED25519};
    _Alignas(8) uint8_t state[SHA256_STATE];
    sha256_begin(state);
    sha256_add(state, (const uint8_t *)name, length);
    sha256_add(state, between, sizeof between);
    sha256_add(state, public_key, NOTE_PUBLIC);
    sha256_end(state, id);
}

size_t note_vkey(char *out, const char *name, size_t length, const uint8_t public_key[NOTE_PUBLIC]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t id[SHA256_BYTES];
    uint8_t key[1 + NOTE_PUBLIC] = {TYPE_ED25519};
    hash_key(name, length, public_key, id);
    memcpy(key + 1, public_key, NOTE_PUBLIC);
    char *at = out;
    memcpy(at, name, length);
    at += length;
    *at++ = '+';
    for (uint32_t i = 0; i < KEY_ID; i++) {
        *at++ = digits[id[i] >> 4];
        *at++ = digits[id[i] & 15];
    }
    *at++ = '+';
    base64_encode(at, key, sizeof key);
    return NOTE_VKEY(length);
}

size_t note_line(char *out, const char *name, size_t length, const uint8_t public_key[NOTE_PUBLIC],
                 const uint8_t signature[NOTE_SIGNATURE]) {
    static const char dash[4] = {'\xe2', '\x80', '\x94', ' '};
    uint8_t bytes[SHA256_BYTES + NOTE_SIGNATURE];
    hash_key(name, length, public_key, bytes);
    memcpy(bytes + KEY_ID, signature, NOTE_SIGNATURE);
    char *at = out;
    memcpy(at, dash, sizeof dash);
    at += sizeof dash;
    memcpy(at, name, length);
    at += length;
    *at++ = ' ';
    base64_encode(at, bytes, KEY_ID + NOTE_SIGNATURE);
    at[92] = '\n';
    return NOTE_LINE(length);
}
