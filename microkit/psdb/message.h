/*
 * The messages between a ledger and PSDB, its storage server: 64 bytes each, little-endian, in both
 * directions.
 *
 * Bulk bytes are in the tenant's data region, shared by the two, and addressed by {offset, length}. Which
 * tenant is asking is which channel the message came through; nothing in a message names one.
 *
 * packages/storage-psdb/src/message.ts is the same layout in TypeScript; a test there reads this file and
 * compares.
 */
#ifndef PSDB_MESSAGE_H
#define PSDB_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define PSDB_MESSAGE_BYTES 64
#define PSDB_SECTOR 512
/* Characters in the name of a verifier key: keys/NAME.vkey. */
#define PSDB_NAME_BYTES 16
/* Requests of one tenant that may be under way. */
#define PSDB_QUEUE 64
/* Member times are eleven octal digits: POSIX ustar. */
#define PSDB_MAX_TIME 077777777777ull
/* Sizes of trees and indexes: safe integers of JavaScript. */
#define PSDB_MAX_SIZE 9007199254740991ull

enum psdb_opcode {
    /*
     * One object's bytes from `at` on, as many as `length` has room for at `offset`. Answer: `value` is the
     * object's length, `length` the bytes put.
     */
    PSDB_READ = 1,
    /* Write an object once. The same bytes again succeed; others are a CONFLICT. Durable when answered. */
    PSDB_SEAL = 2,
    /*
     * Begin the tail file `index` with the bytes of one commit, `size` being the tree size after it. Durable
     * when answered.
     */
    PSDB_COMMIT = 3,
    /*
     * First entries of the tail files that continue what is sealed, ascending, from `index` on: eight bytes
     * each, as many as `length` has room for at `offset`. Answer: `value` is how many there are from `index`
     * on, `length` the bytes put; CORRUPT when there are tail files and none continues what is sealed.
     */
    PSDB_TAIL = 4,
    /* Replace the one mutable cell, `checkpoint`, by a later member of its name. Durable when answered. */
    PSDB_PUBLISH = 5,
    /*
     * Answer: `value` is the sectors of the disk, `extra` those free, `index` the whole bundles sealed from
     * the first on.
     */
    PSDB_STAT = 6,
};

enum psdb_kind {
    PSDB_README = 1,     /* README.txt */
    PSDB_ORIGIN = 2,     /* origin */
    PSDB_VKEY = 3,       /* keys/NAME.vkey; `name` */
    PSDB_TILE = 4,       /* tile/LEVEL/INDEX.b64; `level` 0 to 6, `index` */
    PSDB_BUNDLE = 5,     /* tile/entries/INDEX.b64; `index` */
    PSDB_TAIL_FILE = 6,  /* tail/INDEX; `index`; READ only */
    PSDB_CHECKPOINT = 7, /* checkpoint; READ only */
};

enum psdb_ledger {
    PSDB_MAIN = 0,
    PSDB_AUDIT = 1, /* the audit sub-ledger, below audit/ */
};

enum psdb_status {
    PSDB_OK = 0,
    PSDB_NONE = 1,     /* no such object */
    PSDB_CONFLICT = 2, /* other bytes are sealed there, or the tail goes past that start already */
    PSDB_FULL = 3,     /* no room on the disk, or in the tables; nothing was written */
    PSDB_IO = 4,       /* the disk failed; after a failed write or flush every later write is refused */
    PSDB_CORRUPT = 5,  /* what is stored is not what was stored; at opening: for every request */
    PSDB_INVALID = 6,  /* a field is out of its range; `field` is its offset in the message */
};

struct psdb_request {
    uint32_t id; /* the client's own; the answer has the same */
    uint8_t opcode;
    uint8_t ledger;
    uint8_t kind;  /* READ, SEAL; else 0 */
    uint8_t level; /* TILE; else 0 */
    uint64_t index;
    uint64_t size; /* COMMIT; else 0 */
    uint64_t at;   /* READ; else 0 */
    uint64_t time; /* SEAL, COMMIT, PUBLISH: seconds since the Unix epoch, for the member's header; else 0 */
    uint32_t offset;
    uint32_t length;
    uint8_t name[PSDB_NAME_BYTES]; /* VKEY: [a-z0-9-]{1,16}, then NUL; else NUL */
};

struct psdb_response {
    uint32_t id;
    uint8_t opcode; /* the request's | 0x80 */
    uint8_t status;
    uint8_t field; /* INVALID: offset of the field in the request */
    uint8_t zero;
    uint64_t value;
    uint64_t extra;
    uint64_t index;
    uint32_t offset; /* the request's */
    uint32_t length; /* bytes put at `offset` */
    uint8_t reserved[24];
};

_Static_assert(sizeof(struct psdb_request) == PSDB_MESSAGE_BYTES, "a request is one message");
_Static_assert(sizeof(struct psdb_response) == PSDB_MESSAGE_BYTES, "a response is one message");
_Static_assert(offsetof(struct psdb_request, name) == 48, "no padding in a request");
_Static_assert(offsetof(struct psdb_response, reserved) == 40, "no padding in a response");

#endif
