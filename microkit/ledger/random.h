/* A generator of random bytes: ChaCha20, whose key is replaced at each use, so that what was given cannot be
 * worked out later. */
#ifndef LEDGER_RANDOM_H
#define LEDGER_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Mixes bytes that nobody can guess into the state. */
void random_add(const uint8_t *bytes, size_t length);
void random_take(uint8_t *bytes, size_t length);

#endif
