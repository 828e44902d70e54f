/*
 * The messages between a ledger and the domain that holds its keys. An answer is the request with a status.
 * Texts are in slots of the data region, addressed by `offset`, and do not end in a NUL.
 */
#ifndef KEYS_MESSAGE_H
#define KEYS_MESSAGE_H

#include <stdint.h>

/* The longest text of a request or an answer. */
#define KEYS_SLOT 4096u
#define KEYS_SLOTS 8u
#define KEYS_REGION (KEYS_SLOTS * KEYS_SLOT)

enum keys_op {
    /* Answers the verifier key: `length` bytes at `offset`. */
    KEYS_VKEY = 1,
    /* Signs the checkpoint in the `length` bytes at `offset`. Answers its signature lines there. */
    KEYS_SIGN = 2,
    /* Reports that the ledger has durably stored the last signed checkpoint. No text. */
    KEYS_KEPT = 3,
    /*
     * Answers the newest checkpoint known to be durably in the ledger: its size, KEYS_MARK_SIZE bytes,
     * little-endian, then, if it is the checkpoint signed last, its root, KEYS_MARK_ROOT bytes. No bytes if
     * none is known.
     */
    KEYS_MARK = 4,
};

#define KEYS_MARK_SIZE 8u
#define KEYS_MARK_ROOT 32u

enum keys_status {
    KEYS_OK = 0,
    KEYS_FAILED = 1,  /* the ledger has no key, or the key disk failed */
    KEYS_REFUSED = 2, /* the tree is smaller than one signed before, or has another root at that size */
    KEYS_INVALID = 3, /* unknown operation or ledger, outside the region, or no checkpoint of this ledger */
};

struct keys_message {
    uint32_t id; /* chosen by the client */
    uint8_t op;
    uint8_t ledger; /* 0: main, 1: audit */
    uint8_t status;
    uint8_t zero;
    uint32_t offset;
    uint32_t length;
    uint8_t unused[48];
};

_Static_assert(sizeof(struct keys_message) == 64, "one message");

#endif
