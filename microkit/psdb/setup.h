/* The arguments that start the store: the host's functions, the memory and the tenants; and the states that
 * it reports. */
#ifndef PSDB_SETUP_H
#define PSDB_SETUP_H

#include "message.h"

#include <stdbool.h>

#define PSDB_MAX_TENANTS 31
/* Bytes of a SHA-256 state, enough for any implementation; aligned to eight. */
#define PSDB_SHA256_STATE 256

enum psdb_disk_op { PSDB_DISK_READ, PSDB_DISK_WRITE, PSDB_DISK_FLUSH };

struct psdb_host {
    /*
     * Begins one operation: reads `sectors` sectors, starting at `sector`, into the disk buffer, writes them
     * from it, or flushes (both 0). Exactly one psdb_disk_done() follows, after this call has returned.
     */
    void (*disk)(void *context, enum psdb_disk_op op, uint64_t sector, uint32_t sectors);
    /* Answers a request. It may call psdb_submit(), and no other function of the store. */
    void (*reply)(void *context, uint32_t tenant, const struct psdb_response *response);
    /* Prints a line on the console: what opening found, or why the store stopped. */
    void (*report)(void *context, const char *text);
    /* SHA-256 (FIPS 180-4). */
    void (*sha256_begin)(void *state);
    void (*sha256_add)(void *state, const uint8_t *bytes, size_t length);
    void (*sha256_end)(void *state, uint8_t digest[32]);
};

struct psdb_tenant {
    const char *name; /* its moduleId, [a-z0-9][a-z0-9-]{0,62}: the directory of its members */
    uint8_t *region;  /* its data region; the tenant may write to it at any moment */
    uint32_t region_bytes;
};

/* A slot in the table of objects. Only the store uses it. */
struct psdb_slot {
    uint64_t key[2];
    uint64_t sector;
    uint64_t length;
};

/* A known tail file. Only the store uses it. */
struct psdb_tail_file {
    uint64_t start;
    uint64_t sector;
    uint64_t length;
};

struct psdb_config {
    uint64_t disk_sectors;
    uint8_t *buffer; /* the disk buffer: at least 64 KiB, a multiple of a sector */
    uint32_t buffer_bytes;
    struct psdb_slot *slots; /* a power of two; the store answers FULL when two thirds are used */
    uint32_t slot_count;
    struct psdb_tail_file *tails; /* tails_each for each tenant's ledger and for its audit sub-ledger */
    uint32_t tails_each;
    const struct psdb_tenant *tenants;
    uint32_t tenant_count;
    const struct psdb_host *host;
    void *context;
};

enum psdb_state {
    PSDB_OPENING, /* reading the disk; requests wait */
    PSDB_READY,
    PSDB_READ_ONLY, /* a write or a flush failed; reads still work */
    PSDB_STOPPED,   /* the disk is corrupt: every request is answered CORRUPT */
};

#endif
