/* A store over a disk in memory: tenants, regions, a driver that runs one disk operation at a time, faults.
 */
#ifndef PSDB_TEST_RIG_H
#define PSDB_TEST_RIG_H

#include "../store.h"
#include "disk.h"

#define MAX_RIG_TENANTS 4

struct rig;

struct rig_options {
    const char *names[MAX_RIG_TENANTS]; /* "acme" and "other" by default */
    uint32_t region_bytes;              /* 256 KiB by default */
    uint32_t buffer_bytes;              /* 64 KiB */
    uint32_t slots;                     /* 1024 */
    uint32_t tails;                     /* 64 */
    uint64_t foreign_end;               /* the sectors of another program's archive, without its end */
    uint64_t fail_operation;            /* the disk operation that fails, counted from 1; 0: none */
    bool fail_later;                    /* and all operations after it */
    uint64_t fail_seed;                 /* which sectors of a failed write are written nevertheless */
    /* Called after an operation has begun and before it ends. A write's sectors are then on the disk,
     * unflushed. */
    void (*observe)(struct rig *rig, enum psdb_disk_op op);
    void (*answered)(struct rig *rig, uint32_t tenant, const struct psdb_response *response);
    void *context; /* for both */
};

struct waiting {
    uint32_t tenant;
    struct psdb_request request;
};

struct rig {
    struct rig_options options;
    struct disk *disk;
    struct psdb *store;
    struct psdb_config config;
    struct psdb_tenant tenants[MAX_RIG_TENANTS];
    struct psdb_host host;
    /* The operation under way. */
    bool begun;
    bool within; /* in a call of the store that must not begin another operation */
    enum psdb_disk_op op;
    uint64_t sector;
    uint32_t sectors;
    /* Counts of operations. */
    uint64_t operations;
    uint64_t sectors_read;
    uint64_t sectors_written;
    uint64_t flushes;
    /* The archive's end at the last acknowledgement: the store must not write before it. */
    uint64_t sealed_end;
    struct waiting waiting[MAX_RIG_TENANTS * PSDB_QUEUE + 1];
    size_t waiting_count;
    struct psdb_response last[MAX_RIG_TENANTS]; /* each tenant's newest answer */
    uint64_t answers;
    char reports[4000];
};

/* Returns NULL if the configuration is not usable. Otherwise the store has been opened, or has stopped. */
struct rig *rig_open(struct disk *disk, const struct rig_options *options);
/* Only calls psdb_start(); rig_step() runs the opening. */
struct rig *rig_start(struct disk *disk, const struct rig_options *options);
void rig_close(struct rig *rig);

/* Returns false if the store's queue of this tenant is full. */
bool rig_submit(struct rig *rig, uint32_t tenant, const struct psdb_request *request);
/* Begins work, or ends the operation under way. Returns false if no work is left. */
bool rig_step(struct rig *rig);
/* Runs until every request is answered. */
void rig_run(struct rig *rig);
/* Submits a request, runs, and returns the answer. */
struct psdb_response rig_ask(struct rig *rig, uint32_t tenant, const struct psdb_request *request);

#endif
