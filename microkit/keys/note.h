/*
 * The texts that keys reads and writes: checkpoints (c2sp.org/tlog-checkpoint), verifier keys and signature
 * lines (c2sp.org/signed-note), for Ed25519 keys (type 0x01) whose name is the origin. No text ends in a NUL.
 */
#ifndef KEYS_NOTE_H
#define KEYS_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTE_ROOT 32u
#define NOTE_PUBLIC 32u
#define NOTE_SIGNATURE 64u
/* The largest size: JavaScript numbers are exact up to 2^53 - 1. */
#define NOTE_MOST UINT64_C(9007199254740991)

/* The most bytes of a checkpoint after its name: a size of 16 digits, a root, three line feeds. */
#define NOTE_BEHIND_NAME (16u + 44u + 3u)
/* The bytes of a vkey and of a signature line with a name of `length` bytes. */
#define NOTE_VKEY(length) ((length) + 1 + 8 + 1 + 44)
#define NOTE_LINE(length) (3 + 1 + (length) + 1 + 92 + 1)

/*
 * Reads a checkpoint: the name, the size and the root, each a line, and nothing else. The root of the empty
 * tree must be SHA-256 of no bytes. Returns false if the text is not a checkpoint of that name.
 */
bool note_read(const char *text, size_t length, const char *name, size_t name_length, uint64_t *size,
               uint8_t root[NOTE_ROOT]);

/* Each returns the length written: NOTE_VKEY() or NOTE_LINE(). */
size_t note_vkey(char *out, const char *name, size_t length, const uint8_t public_key[NOTE_PUBLIC]);
size_t note_line(char *out, const char *name, size_t length, const uint8_t public_key[NOTE_PUBLIC],
                 const uint8_t signature[NOTE_SIGNATURE]);

#endif
