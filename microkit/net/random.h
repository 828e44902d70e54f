/*
 * Numbers that a peer cannot guess, from a secret of entropy's: SipHash-2-4
 * (https://www.aumasson.jp/siphash/siphash.pdf) of a counter, and of a connection's ends for its first
 * sequence number (RFC 6528).
 */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* False: entropy has given nothing yet. */
bool random_begin(void);
uint32_t random_number(void);
/* Addresses and ports as they are, whatever their order of bytes. */
uint32_t random_sequence(uint32_t local, uint16_t local_port, uint32_t remote, uint16_t remote_port);

#endif
