/*
 * The messages between PSDB and the domain that holds the data disk. An answer is the request with a status.
 * Data is in the data region, addressed by `offset`.
 */
#ifndef BLK_MESSAGE_H
#define BLK_MESSAGE_H

#include <stdint.h>

enum blk_op {
    BLK_CAPACITY = 0, /* answers the disk's size in sectors as `sector` */
    BLK_READ = 1,
    BLK_WRITE = 2,
    BLK_FLUSH = 3,
};

enum blk_status {
    BLK_OK = 0,
    BLK_FAILED = 1,  /* the disk reported an error, or there is no usable disk */
    BLK_INVALID = 2, /* unknown operation, or outside the disk or the data region */
};

struct blk_message {
    uint32_t id; /* chosen by the client */
    uint8_t op;
    uint8_t status;
    uint16_t zero;
    uint64_t sector;
    uint32_t sectors;
    uint32_t offset; /* of the data in the data region; a multiple of a sector */
    uint8_t unused[40];
};

_Static_assert(sizeof(struct blk_message) == 64, "one message");

#endif
