/* The Internet checksum (RFC 1071) for lwIP. */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <stdint.h>

/* Returns the sum, not inverted, in the byte order of the memory. `bytes` need not be aligned. */
uint16_t checksum(const void *bytes, int length);

#endif
