/* A generator of random bytes: ChaCha20. Each use replaces its key, so earlier bytes cannot be computed from
 * the present state. */
#ifndef LEDGER_RANDOM_H
#define LEDGER_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Mixes secret random bytes into the state. */
void random_add(const uint8_t *bytes, size_t length);
void random_take(uint8_t *bytes, size_t length);

#endif
