/*
 * The messages between a ledger and PSDB, its storage server: 64 bytes each, little-endian, in both
 * directions.
 *
 * Data is in the tenant's data region, shared by both sides, and is addressed by {offset, length}. The
 * channel identifies the tenant; no message names one.
 *
 * packages/storage-psdb/src/message.ts has the same layout in TypeScript; a test there compares it with this
 * file.
 */
#ifndef PSDB_MESSAGE_H
#define PSDB_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define PSDB_MESSAGE_BYTES 64
#define PSDB_SECTOR 512
/* Characters in the name of a verifier key: keys/NAME.vkey. */
#define PSDB_NAME_BYTES 16
/* The most requests of one tenant that may be under way. */
#define PSDB_QUEUE 64
/* Member times are eleven octal digits: POSIX ustar. */
#define PSDB_MAX_TIME 077777777777ull
/* Sizes of trees and indexes: safe integers of JavaScript. */
#define PSDB_MAX_SIZE 9007199254740991ull

enum psdb_opcode {
    /*
     * Reads an object's bytes from `at` on, at most `length`, to `offset`. The answer's `value` is the
     * object's length, its `length` the bytes read.
     */
    PSDB_READ = 1,
    /* Writes an object once. Sealing the same bytes again succeeds; other bytes are a CONFLICT. Durable. */
    PSDB_SEAL = 2,
    /*
     * Writes the bytes of one commit as the tail file whose first entry is `index`; `size` is the tree size
     * after it. Durable.
     */
    PSDB_COMMIT = 3,
    /*
     * Lists the first entries of the tail files that continue the sealed bundles, ascending, from `index` on:
     * eight bytes each, as many as fit in `length` bytes at `offset`. The answer's `value` is their number,
     * its `length` the bytes written. CORRUPT if there are tail files but none continues the bundles.
     */
    PSDB_TAIL = 4,
    /* Replaces the only mutable object, `checkpoint`, by a later member of the same name. Durable. */
    PSDB_PUBLISH = 5,
    /*
     * Answers the disk's size in sectors as `value`, its free sectors as `extra`, and as `index` the number
     * of bundles sealed without a gap.
     */
    PSDB_STAT = 6,
};

enum psdb_kind {
    PSDB_README = 1,     /* README.txt; with `index` 1 verify.sh */
    PSDB_ORIGIN = 2,     /* origin */
    PSDB_VKEY = 3,       /* keys/NAME.vkey; `name` */
    PSDB_TILE = 4,       /* tile/LEVEL/INDEX.b64; `level` 0 to 6, `index` */
    PSDB_BUNDLE = 5,     /* tile/entries/INDEX.b64; `index` */
    PSDB_TAIL_FILE = 6,  /* tail/INDEX; `index`; READ only */
    PSDB_CHECKPOINT = 7, /* checkpoint; READ only */
};

enum psdb_ledger {
    PSDB_MAIN = 0,
    PSDB_AUDIT = 1, /* the audit sub-ledger, in audit/ */
};

enum psdb_status {
    PSDB_OK = 0,
    PSDB_NONE = 1,     /* no such object */
    PSDB_CONFLICT = 2, /* other bytes are sealed there, or a tail file begins at or after that entry */
    PSDB_FULL = 3,     /* the disk or a table is full; nothing was written */
    PSDB_IO = 4,       /* the disk failed; after a failed write or flush, every later write fails */
    PSDB_CORRUPT = 5,  /* stored data is corrupt; if opening found it, every request fails */
    PSDB_INVALID = 6,  /* a field is out of range; `field` is its offset in the message */
};

struct psdb_request {
    uint32_t id; /* chosen by the client; the answer has the same */
    uint8_t opcode;
    uint8_t ledger;
    uint8_t kind;  /* READ, SEAL; else 0 */
    uint8_t level; /* TILE; else 0 */
    uint64_t index;
    uint64_t size; /* COMMIT; else 0 */
    uint64_t at;   /* READ; else 0 */
    uint64_t time; /* SEAL, COMMIT, PUBLISH: the member's time, in seconds since the Unix epoch; else 0 */
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
    uint32_t length; /* bytes written at `offset` */
    uint8_t reserved[24];
};

_Static_assert(sizeof(struct psdb_request) == PSDB_MESSAGE_BYTES, "a request is one message");
_Static_assert(sizeof(struct psdb_response) == PSDB_MESSAGE_BYTES, "a response is one message");
_Static_assert(offsetof(struct psdb_request, name) == 48, "no padding in a request");
_Static_assert(offsetof(struct psdb_response, reserved) == 40, "no padding in a response");

#endif
