/*
 * The records of the key disk: docs/keys.md. Each is one sector, alone in a block of eight sectors, so
 * writing it cannot damage another. Numbers are little-endian.
 */
#ifndef KEYS_RECORD_H
#define KEYS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_BYTES 512u
#define RECORD_BLOCK 8u /* sectors */
#define RECORD_KEYS 64u
#define RECORD_NAME 256u
#define RECORD_HASH 32u
#define RECORD_SEED 32u
#define RECORD_PUBLIC 32u

/* The places of the records, in sectors. `slot`: the lowest bit of the sequence number. */
#define RECORD_SUPER(slot) ((uint64_t)RECORD_BLOCK * (slot))
#define RECORD_KEY(index) ((uint64_t)RECORD_BLOCK * (2 + 3 * (uint64_t)(index)))
#define RECORD_SIGNED(index, slot) (RECORD_KEY(index) + RECORD_BLOCK * (1 + (uint64_t)(slot)))
/* The least sectors of a key disk. */
#define RECORD_DISK (RECORD_KEY(RECORD_KEYS))

enum record_kind { RECORD_SUPERBLOCK = 1, RECORD_PRIVATE = 2, RECORD_LAST = 3 };

/* The first `keys` places have keys; the content of the other places is ignored. */
struct record_super {
    uint64_t sequence;
    uint32_t keys;
};

struct record_key {
    uint32_t length; /* of the name */
    char name[RECORD_NAME];
    uint8_t seed[RECORD_SEED];
    uint8_t public_key[RECORD_PUBLIC];
};

/* The checkpoint that the key of the same place signed last. */
struct record_last {
    uint64_t sequence;
    uint64_t size;
    uint8_t root[RECORD_HASH];
    uint8_t public_key[RECORD_PUBLIC];
    bool has_kept; /* this checkpoint or an earlier one is known to be in the ledger */
    uint64_t kept; /* the size of the newest such checkpoint */
};

/* The content of a sector. */
enum record_found {
    RECORD_EMPTY, /* zeros: never written */
    RECORD_GOOD,
    RECORD_TORN,   /* may be the beginning of a record: the power was cut during its write */
    RECORD_BROKEN, /* neither */
};

void record_write_super(uint8_t sector[RECORD_BYTES], const struct record_super *super);
void record_write_key(uint8_t sector[RECORD_BYTES], const struct record_key *key);
void record_write_last(uint8_t sector[RECORD_BYTES], const struct record_last *last);

enum record_found record_read_super(const uint8_t sector[RECORD_BYTES], struct record_super *super);
enum record_found record_read_key(const uint8_t sector[RECORD_BYTES], struct record_key *key);
enum record_found record_read_last(const uint8_t sector[RECORD_BYTES], struct record_last *last);

/*
 * Returns which of the two slots of an alternating record is valid, by their contents and sequence numbers.
 * The first write has the sequence number 1; each next write goes to the other slot.
 */
enum record_choice { RECORD_NONE, RECORD_SLOT_0, RECORD_SLOT_1, RECORD_CORRUPT };

enum record_choice record_choose(const enum record_found found[2], const uint64_t sequences[2]);

#endif
