/*
 * The messages between PSDB and the domain that holds the data disk, in both directions: an answer is the
 * request with its status. Bytes are in the data region, addressed by `offset`.
 */
#ifndef BLK_MESSAGE_H
#define BLK_MESSAGE_H

#include <stdint.h>

enum blk_op {
    BLK_CAPACITY = 0, /* answer: `sector` is the sectors of the disk */
    BLK_READ = 1,
    BLK_WRITE = 2,
    BLK_FLUSH = 3,
};

enum blk_status {
    BLK_OK = 0,
    BLK_FAILED = 1,  /* the disk says so, or there is none that can be used */
    BLK_INVALID = 2, /* no such operation, or not within the disk or the data region */
};

struct blk_message {
    uint32_t id; /* the client's own */
    uint8_t op;
    uint8_t status;
    uint16_t zero;
    uint64_t sector;
    uint32_t sectors;
    uint32_t offset; /* of the bytes in the data region; a multiple of a sector */
    uint8_t unused[40];
};

_Static_assert(sizeof(struct blk_message) == 64, "one message");

#endif
