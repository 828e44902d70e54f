/*
 * The messages between a ledger and the domain that holds its keys, in both directions: an answer is the
 * request with its status. Texts are in the data region, in slots, addressed by `offset`; they have no NUL at
 * their end.
 */
#ifndef KEYS_MESSAGE_H
#define KEYS_MESSAGE_H

#include <stdint.h>

/* A text going in or coming out is at most so long. */
#define KEYS_SLOT 4096u
#define KEYS_SLOTS 8u
#define KEYS_REGION (KEYS_SLOTS * KEYS_SLOT)

enum keys_op {
    KEYS_VKEY = 1, /* Answer: the verifier key is the `length` bytes at `offset`. */
    KEYS_SIGN = 2, /* Sign the checkpoint that is the `length` bytes at `offset`. Answer: its signature lines,
                      there. */
    KEYS_KEPT = 3, /* The checkpoint of that ledger that was signed last is durably in the ledger. No text. */
    KEYS_MARK = 4, /* What is the newest checkpoint of that ledger that is known to be durably in it? Answer:
                      its size, KEYS_MARK_SIZE bytes, little-endian, and where it is the one that was signed
                      last, its root, KEYS_MARK_ROOT bytes; no bytes: none is. */
};

#define KEYS_MARK_SIZE 8u
#define KEYS_MARK_ROOT 32u

enum keys_status {
    KEYS_OK = 0,
    KEYS_FAILED = 1,  /* there is no key, or the key disk failed */
    KEYS_REFUSED = 2, /* a smaller tree than was signed before, or another root at the same size */
    KEYS_INVALID =
        3, /* no such operation or ledger, not within the region, or no checkpoint of this ledger */
};

struct keys_message {
    uint32_t id; /* the client's own */
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
