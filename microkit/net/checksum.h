/* The Internet checksum (RFC 1071) for lwIP. */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <stdint.h>

/* Not inverted, and in the order of bytes of the memory, which need not be aligned. */
uint16_t checksum(const void *bytes, int length);

#endif
