/*
 * Numbers that a peer cannot guess: SipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf) of a counter,
 * with a secret key from entropy. For a connection's first sequence number (RFC 6528) it hashes the
 * connection's addresses.
 */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* Returns false if entropy has provided no bytes yet. */
bool random_begin(void);
uint32_t random_number(void);
/* Returns a first sequence number. The byte order of the addresses and ports does not matter. */
uint32_t random_sequence(uint32_t local, uint16_t local_port, uint32_t remote, uint16_t remote_port);

#endif
