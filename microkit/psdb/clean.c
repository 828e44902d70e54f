/*
 * What a power cut left behind the end is of no consequence, but for the places where an index is looked for:
 * a tenant's bytes there could pose as one. They are made zero before the first batch is written; opening
 * writes nothing.
 */
#include "internal.h"

#include <string.h>

/* No batch that a tenant has bytes in goes further behind the end than this. */
static uint64_t reach(const struct psdb *store) {
    const uint64_t furthest = store->end + PSDB_MAX_OBJECT / PSDB_SECTOR + PSDB_BATCH_SECTORS;
    return furthest < store->config.disk_sectors ? furthest : store->config.disk_sectors;
}

void psdb_clean_run(struct psdb *store) {
    struct psdb_clean *clean = &store->clean;
    if (clean->at == 0) clean->at = (store->end / PSDB_SEGMENT + 1) * PSDB_SEGMENT;
    if (clean->at < reach(store)) {
        if (clean->phase == PSDB_CLEAN_WRITE) memset(store->config.buffer, 0, PSDB_SECTOR);
        const bool write = clean->phase == PSDB_CLEAN_WRITE;
        psdb_disk(store, PSDB_CLEANING, write ? PSDB_DISK_WRITE : PSDB_DISK_READ, clean->at, 1);
        return;
    }
    clean->done = !clean->dirty;
    if (clean->done) return;
    clean->phase = PSDB_CLEAN_FLUSH;
    psdb_disk(store, PSDB_CLEANING, PSDB_DISK_FLUSH, 0, 0);
}

void psdb_clean_done(struct psdb *store, bool ok) {
    struct psdb_clean *clean = &store->clean;
    if (!ok) {
        psdb_batch_fail(store, "what is behind the end cannot be made zero, at sector ", clean->at);
        return;
    }
    switch (clean->phase) {
    case PSDB_CLEAN_READ:
        if (psdb_tar_is_zero(store->config.buffer)) {
            clean->at += PSDB_SEGMENT;
        } else if (clean->wrote == clean->at) {
            psdb_batch_fail(store, "zeros that were written are not read back, at sector ", clean->at);
        } else {
            clean->phase = PSDB_CLEAN_WRITE;
        }
        return;
    case PSDB_CLEAN_WRITE:
        clean->dirty = true;
        clean->wrote = clean->at;
        clean->phase = PSDB_CLEAN_READ;
        return;
    default:
        clean->dirty = false;
        clean->done = true;
        return;
    }
}
