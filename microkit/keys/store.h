/*
 * The keys of all tenants' ledgers, on a separate disk: docs/keys.md. The store makes missing keys, and signs
 * checkpoints of a ledger's origin. It refuses a checkpoint smaller than the last one it signed, and another
 * root at that size, unless that last one was signed before the start and never reached the ledger. It writes
 * a checkpoint to the disk before it answers with the signature.
 *
 * The store does no I/O itself: it requests one operation on one sector at a time. The caller provides all
 * memory but the stack.
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
/* The random bytes for one key. */
#define KEYS_RANDOM 256u
/* The longest line for the console, with its NUL. */
#define KEYS_LINE 400u

/* A tenant's ledgers have the origins `origin` and `origin`/audit. */
struct keys_tenant {
    const char *origin; /* ends with a NUL; its audit's name has at most RECORD_NAME bytes */
    uint8_t *region;    /* KEYS_REGION bytes; the tenant may write to them at any moment */
};

enum keys_disk_op { KEYS_DISK_READ = 1, KEYS_DISK_WRITE = 2, KEYS_DISK_FLUSH = 3 };

/* None of these functions waits. */
struct keys_host {
    /* Begins an operation on the configuration's sector buffer; keys_disk_done() ends it. FLUSH: sector 0. */
    void (*disk)(void *context, enum keys_disk_op op, uint64_t sector);
    /* Requests random bytes; keys_random() delivers them. */
    void (*random)(void *context);
    void (*answer)(void *context, uint32_t tenant, const struct keys_message *message);
    void (*say)(void *context, const char *line);
};

struct keys_config {
    uint64_t disk_sectors; /* 0: there is no usable disk */
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
    bool has_last;       /* a checkpoint was signed: `last` */
    bool is_from_before; /* `last` was signed before this start */
    bool damaged;        /* its key or its last checkpoint is not certain, so it signs nothing */
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

/* Only the store uses these members. */
struct keys_store {
    struct keys_config config;
    enum keys_step step;
    uint64_t at; /* the sector under way */
    bool has_made;
    bool has_damaged; /* a place has an unreadable key, so no key is made */
    struct record_super super;
    enum record_found found[2]; /* the two slots that were read last */
    uint64_t sequences[2];
    struct record_last lasts[2];
    uint32_t owner; /* the ledger of the key in the place under way; UINT32_MAX: none */
    uint32_t making;
    uint8_t random_hash[RECORD_HASH]; /* of the previous seed */
    uint32_t signing;
    uint32_t tenant;
    struct keys_message message; /* under way */
    struct record_last next;
    char text[RECORD_NAME + 64];
    size_t text_length;
    struct keys_ledger ledgers[KEYS_TENANTS * KEYS_LEDGERS];
};

void keys_store_begin(struct keys_store *store, const struct keys_config *config);
/* Reports whether the store takes a message: opening has ended, and no message is under way. */
bool keys_store_is_free(const struct keys_store *store);
/* Answers a tenant's message, now or after disk operations. Call it only if keys_store_is_free(). */
void keys_store_take(struct keys_store *store, uint32_t tenant, const struct keys_message *message);
/* Ends the disk operation under way. */
void keys_disk_done(struct keys_store *store, bool ok);
/* Delivers random bytes that no other client received. */
void keys_random(struct keys_store *store, const uint8_t bytes[KEYS_RANDOM]);

#endif
