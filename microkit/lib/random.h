/*
 * Random bytes: the domain `entropy` fills a page for each client, which maps it read-only, and notifies the
 * client. It gives no bytes twice: a client that has used its bytes notifies entropy and gets new ones.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

#define RANDOM_BYTES 256u

struct random_page {
    uint32_t count; /* two for each fill; odd while entropy is filling it; 0: never filled */
    uint32_t zero;
    uint8_t bytes[RANDOM_BYTES];
};

#endif
