/*
 * A disk whose writes stay in a cache until they are flushed. After a power cut, the disk has a subset of the
 * cached sectors. The seed selects it.
 */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cached {
    uint64_t sector;
    uint8_t bytes[PSDB_SECTOR];
};

static struct {
    const struct host_options *options;
    struct cached *sectors; /* in the order of the writes; a sector may be there several times */
    size_t count;
    size_t room;
    uint64_t writes;
    uint64_t flushes;
    uint64_t random;
} cache;

void host_faults_begin(const struct host_options *options) {
    cache.options = options;
    cache.random = options->seed;
}

/* splitmix64 */
static uint64_t next_random(void) {
    uint64_t value = cache.random += 0x9e3779b97f4a7c15ull;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

static void write_out(int file, const struct cached *sector) {
    if (!host_disk_write(file, sector->bytes, sector->sector, 1))
        host_die(HOST_FAILED, "faults", "cannot write");
}

/* Cuts the power. Of eight cuts, one loses all sectors and one loses none; the others lose each sector with a
 * random probability. */
static _Noreturn void cut_power(int file) {
    const uint64_t kind = next_random() % 8;
    const uint64_t chance = kind == 0 ? 0 : kind == 1 ? 256 : next_random() % 257;
    for (size_t i = 0; i < cache.count; i++) {
        if (next_random() % 256 < chance) write_out(file, &cache.sectors[i]);
    }
    if (!host_disk_flush(file)) host_die(HOST_FAILED, "faults", "cannot flush");
    fflush(NULL);
    _exit(HOST_CUT);
}

static void cache_sector(uint64_t sector, const uint8_t *bytes) {
    if (cache.count == cache.room) {
        cache.room = cache.room == 0 ? 1024 : 2 * cache.room;
        cache.sectors = realloc(cache.sectors, cache.room * sizeof *cache.sectors);
        if (cache.sectors == NULL) host_die(HOST_FAILED, "faults", "no memory");
    }
    cache.sectors[cache.count].sector = sector;
    memcpy(cache.sectors[cache.count].bytes, bytes, PSDB_SECTOR);
    cache.count++;
}

bool host_faults_read(int file, uint8_t *buffer, uint64_t sector, uint32_t sectors) {
    if (!host_disk_read(file, buffer, sector, sectors)) return false;
    for (size_t i = 0; i < cache.count; i++) {
        const struct cached *cached = &cache.sectors[i];
        if (cached->sector < sector || cached->sector - sector >= sectors) continue;
        memcpy(buffer + (size_t)(cached->sector - sector) * PSDB_SECTOR, cached->bytes, PSDB_SECTOR);
    }
    return true;
}

bool host_faults_write(int file, const uint8_t *buffer, uint64_t sector, uint32_t sectors) {
    cache.writes++;
    if (cache.writes == cache.options->fail_write) return false;
    for (uint32_t i = 0; i < sectors; i++) cache_sector(sector + i, buffer + (size_t)i * PSDB_SECTOR);
    if (cache.writes == cache.options->cut) cut_power(file);
    return true;
}

bool host_faults_flush(int file) {
    cache.flushes++;
    if (cache.flushes == cache.options->fail_flush) return false;
    for (size_t i = 0; i < cache.count; i++) write_out(file, &cache.sectors[i]);
    cache.count = 0;
    return host_disk_flush(file);
}
