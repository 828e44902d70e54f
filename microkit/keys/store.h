/*
 * The keys of all tenants' ledgers, on a disk of their own: docs/keys.md. Makes those that are not there, and
 * signs checkpoints: of a ledger's own origin, none smaller than the last one signed, no other root at its
 * size; but for one that was signed before the start and never came to be in the ledger. What was signed is
 * on the disk before the signature is given.
 *
 * No I/O of its own: one operation on one sector is under way at a time. All memory is the caller's, but for
 * what is on the stack.
 */
#ifndef KEYS_STORE_H
#define KEYS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys/message.h"
#include "keys/record.h"

#define KEYS_TENANTS 31u
#define KEYS_LEDGERS 2u
/* Random bytes that a key is made from. */
#define KEYS_RANDOM 256u
/* A line to say has at most so many bytes, its NUL included. */
#define KEYS_LINE 400u

/* A tenant's ledgers have the origins `origin` and `origin`/audit. */
struct keys_tenant {
    const char *origin; /* ends with a NUL; its audit's name has at most RECORD_NAME bytes */
    uint8_t *region;    /* of KEYS_REGION bytes, which the tenant writes to at any moment */
};

enum keys_disk_op { KEYS_DISK_READ = 1, KEYS_DISK_WRITE = 2, KEYS_DISK_FLUSH = 3 };

/* Each begins something, or takes it, and comes back at once. */
struct keys_host {
    /* On the sector buffer of the configuration; `sector` is 0 for FLUSH. Ends in keys_disk_done(). */
    void (*disk)(void *context, enum keys_disk_op op, uint64_t sector);
    /* Ends in keys_random(). */
    void (*random)(void *context);
    void (*answer)(void *context, uint32_t tenant, const struct keys_message *message);
    void (*say)(void *context, const char *line);
};

struct keys_config {
    uint64_t disk_sectors; /* 0: there is no disk that can be used */
    uint8_t *sector;       /* RECORD_BYTES; wiped after each use */
    const struct keys_tenant *tenants;
    uint32_t tenant_count;
    const struct keys_host *host;
    void *context;
};

struct keys_ledger {
    char name[RECORD_NAME];
    uint32_t length;
    bool has_key;
    bool has_last;       /* something was signed: `last` */
    bool is_from_before; /* `last` was signed before this start */
    bool damaged;        /* what was signed last is not known, or which key it is: it signs nothing */
    uint32_t place;
    uint32_t refusals;
    uint8_t secret[64];
    uint8_t public_key[RECORD_PUBLIC];
    struct record_last last;
};

enum keys_step {
    KEYS_READ_SUPER,
    KEYS_READ_PLACES,
    KEYS_WAIT_RANDOM,
    KEYS_WRITE_KEY,
    KEYS_FLUSH_KEYS,
    KEYS_WRITE_SUPER,
    KEYS_FLUSH_SUPER,
    KEYS_READY,
    KEYS_WRITE_LAST,
    KEYS_FLUSH_LAST,
    KEYS_STOPPED,
};

/* Nothing in here is for others to use. */
struct keys_store {
    struct keys_config config;
    enum keys_step step;
    uint64_t at; /* the sector that is being read or written */
    bool has_made;
    bool has_damaged; /* a place has a key that cannot be read: no other is made */
    struct record_super super;
    enum record_found found[2]; /* in the two slots that were read last */
    uint64_t sequences[2];
    struct record_last lasts[2];
    uint32_t owner; /* the ledger whose key is in the place that is being read; UINT32_MAX: none */
    uint32_t making;
    uint8_t random_hash[RECORD_HASH]; /* of the seed before */
    uint32_t signing;
    uint32_t tenant;
    struct keys_message message; /* that is being answered */
    struct record_last next;
    char text[RECORD_NAME + 64];
    size_t text_length;
    struct keys_ledger ledgers[KEYS_TENANTS * KEYS_LEDGERS];
};

void keys_store_begin(struct keys_store *store, const struct keys_config *config);
/* Whether a message may be put in: the store is opened (or will not be), and none is being answered. */
bool keys_store_is_free(const struct keys_store *store);
/* Answers a message of a tenant, now or when the disk is done. Only when keys_store_is_free(). */
void keys_store_take(struct keys_store *store, uint32_t tenant, const struct keys_message *message);
/* The operation that was begun has ended. */
void keys_disk_done(struct keys_store *store, bool ok);
/* Random bytes that nobody else was given. */
void keys_random(struct keys_store *store, const uint8_t bytes[KEYS_RANDOM]);

#endif
