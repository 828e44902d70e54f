/*
 * Bytes that a power cut left after the end do no harm, except where opening looks for an index: a tenant's
 * bytes there could pose as one. Those sectors are zeroed before the first group is written. Opening writes
 * nothing.
 */
#include "clean.h"
#include "base.h"
#include "group.h"

#include <string.h>

/* Returns the furthest sector that a group with a tenant's bytes can have reached. */
static uint64_t furthest_sector(const struct psdb *store) {
    const uint64_t sector = store->end + PSDB_MAX_OBJECT / PSDB_SECTOR + PSDB_GROUP_SECTORS;
    return sector < store->config.disk_sectors ? sector : store->config.disk_sectors;
}

void psdb_clean_run(struct psdb *store) {
    struct psdb_clean *clean = &store->clean;
    if (clean->at == 0) clean->at = (store->end / PSDB_SEGMENT + 1) * PSDB_SEGMENT;
    if (clean->at < furthest_sector(store)) {
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
        psdb_group_fail(store, "cannot zero the disk after the end, at sector ", clean->at);
        return;
    }
    switch (clean->phase) {
    case PSDB_CLEAN_READ:
        if (psdb_tar_is_zero(store->config.buffer)) {
            clean->at += PSDB_SEGMENT;
        } else if (clean->wrote == clean->at) {
            psdb_group_fail(store, "zeros were written but not read back, at sector ", clean->at);
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
