/*
 * Random bytes: the domain `entropy` fills a page for each client, which maps it read-only, and notifies it.
 * The same bytes are never given twice; a client that has used them notifies entropy and gets others.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

#define RANDOM_BYTES 256u

struct random_page {
    uint32_t count; /* how often it was filled; odd while it is being filled; 0: not yet */
    uint32_t zero;
    uint8_t bytes[RANDOM_BYTES];
};

#endif
