/* A store over a disk in memory: tenants, regions, a driver that does one disk operation at a time, faults.
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
    uint64_t foreign_end;               /* sectors that another program's archive takes, without its end */
    uint64_t fail_operation;            /* the number, from 1 on, of the disk operation that fails; 0: none */
    bool fail_later;                    /* and all after it */
    uint64_t fail_seed;                 /* which sectors of a failed write are written all the same */
    /* Called when an operation has begun, before it is done; a write's sectors are on the disk, unflushed. */
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
    /* The operation that the store has begun. */
    bool begun;
    bool within; /* in a call of the store that may not begin another */
    enum psdb_disk_op op;
    uint64_t sector;
    uint32_t sectors;
    /* What was done. */
    uint64_t operations;
    uint64_t sectors_read;
    uint64_t sectors_written;
    uint64_t flushes;
    /* Where the archive ended when something was last acknowledged: nothing before may be written again. */
    uint64_t sealed_end;
    struct waiting waiting[MAX_RIG_TENANTS * PSDB_QUEUE + 1];
    size_t waiting_count;
    struct psdb_response last[MAX_RIG_TENANTS]; /* each tenant's newest answer */
    uint64_t answers;
    char reports[4000];
};

/* The configuration is not usable: NULL. Otherwise the store has been opened, or has stopped. */
struct rig *rig_open(struct disk *disk, const struct rig_options *options);
/* Only psdb_start(); the opening is for rig_step(). */
struct rig *rig_start(struct disk *disk, const struct rig_options *options);
void rig_close(struct rig *rig);

/* False: the store's queue of this tenant is full. */
bool rig_submit(struct rig *rig, uint32_t tenant, const struct psdb_request *request);
/* Begins what can be begun, or ends the operation that was begun. False: nothing is left to do. */
bool rig_step(struct rig *rig);
/* Until every request is answered. */
void rig_run(struct rig *rig);
/* Submits, runs, gives the answer. */
struct psdb_response rig_ask(struct rig *rig, uint32_t tenant, const struct psdb_request *request);

#endif
