/*
 * PSDB, the storage server: an append-only object store whose disk is a POSIX ustar archive. No operation
 * overwrites, truncates, renames or deletes a member. docs/psdb.md describes the disk.
 *
 * It does no I/O of its own and never waits: requests go in by psdb_submit(), what it wants of the disk comes
 * out by `disk`, one operation at a time, and its end goes in by psdb_disk_done(). The same source runs in a
 * protection domain, in a process on a host, and under a fuzzer. It allocates nothing: all memory is handed
 * over at the start.
 */
#ifndef PSDB_STORE_H
#define PSDB_STORE_H

#include "message.h"

#include <stdbool.h>

#define PSDB_MAX_TENANTS 31
/* Bytes of a SHA-256 state, whichever implementation it is; aligned to eight. */
#define PSDB_SHA256_STATE 256

enum psdb_disk_op { PSDB_DISK_READ, PSDB_DISK_WRITE, PSDB_DISK_FLUSH };

struct psdb_host {
    /*
     * Begin one operation: read `sectors` sectors from `sector` on into the disk buffer, write them from it,
     * or flush (both 0). Exactly one psdb_disk_done() follows, not from within this call.
     */
    void (*disk)(void *context, enum psdb_disk_op op, uint64_t sector, uint32_t sectors);
    /* Answer a request. psdb_submit() may be called from within; nothing else of the store. */
    void (*reply)(void *context, uint32_t tenant, const struct psdb_response *response);
    /* A line for the console: what was found at opening, why the store stopped. */
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

/* A place in the table of objects; the store's own business. */
struct psdb_slot {
    uint64_t key[2];
    uint64_t sector;
    uint64_t length;
};

/* A tail file that is known; the store's own business. */
struct psdb_tail_file {
    uint64_t start;
    uint64_t sector;
    uint64_t length;
};

struct psdb_config {
    uint64_t disk_sectors;
    uint8_t *buffer; /* the disk buffer, at least 64 KiB, a multiple of a sector */
    uint32_t buffer_bytes;
    struct psdb_slot *slots; /* a power of two; two thirds are used before the store says FULL */
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
    PSDB_READ_ONLY, /* a write or a flush failed: reads go on */
    PSDB_STOPPED,   /* the disk is corrupt: every request is answered CORRUPT */
};

struct psdb; /* internal.h; psdb_bytes() says how large it is */

size_t psdb_bytes(void);
/*
 * Begins opening the disk. `memory`: psdb_bytes() bytes, aligned to 16, zeroed. False, with a report: the
 * configuration is not usable.
 */
bool psdb_start(struct psdb *store, const struct psdb_config *config);
enum psdb_state psdb_state(const struct psdb *store);
/*
 * Takes a request; copies it first. False: PSDB_QUEUE requests of this tenant are under way; try again after
 * an answer.
 */
bool psdb_submit(struct psdb *store, uint32_t tenant, const void *message);
/* The operation that `disk` began has ended. */
void psdb_disk_done(struct psdb *store, bool ok);
/*
 * Begins what can be begun; to be called after submitting. Requests that were submitted before it join in one
 * batch. False: nothing is under way and nothing waits.
 */
bool psdb_run(struct psdb *store);

#endif
