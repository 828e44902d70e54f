#include "disk.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct disk *disk_make(uint64_t sectors) {
    struct disk *disk = calloc(1, sizeof *disk);
    CHECK(disk != NULL);
    disk->sectors = sectors;
    disk->bytes = mmap(NULL, sectors * SECTOR, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(disk->bytes != MAP_FAILED);
    return disk;
}

struct disk *disk_copy(const struct disk *disk) {
    static const uint8_t zeros[8 * SECTOR];
    struct disk *copy = disk_make(disk->sectors);
    for (uint64_t sector = 0; sector < disk->sectors; sector += 8) {
        uint64_t rest = disk->sectors - sector;
        size_t bytes = (size_t)(rest < 8 ? rest : 8) * SECTOR;
        const uint8_t *from = disk->bytes + sector * SECTOR;
        if (memcmp(from, zeros, bytes) != 0) memcpy(copy->bytes + sector * SECTOR, from, bytes);
    }
    return copy;
}

void disk_free(struct disk *disk) {
    (void)munmap(disk->bytes, disk->sectors * SECTOR);
    free(disk->unflushed);
    free(disk);
}

uint8_t *disk_at(const struct disk *disk, uint64_t sector) {
    CHECK(sector < disk->sectors);
    return disk->bytes + sector * SECTOR;
}

static struct unflushed *add_unflushed(struct disk *disk) {
    if (disk->unflushed_count == disk->unflushed_room) {
        disk->unflushed_room = disk->unflushed_room * 2 + 64;
        disk->unflushed = realloc(disk->unflushed, disk->unflushed_room * sizeof *disk->unflushed);
        CHECK(disk->unflushed != NULL);
    }
    return &disk->unflushed[disk->unflushed_count++];
}

void disk_write(struct disk *disk, uint64_t sector, uint64_t sectors, const uint8_t *bytes) {
    CHECK(sectors <= disk->sectors && sector <= disk->sectors - sectors);
    for (uint64_t i = 0; i < sectors; i++) {
        uint8_t *place = disk_at(disk, sector + i);
        struct unflushed *unflushed = add_unflushed(disk);
        unflushed->sector = sector + i;
        memcpy(unflushed->before, place, SECTOR);
        memcpy(unflushed->written, bytes + i * SECTOR, SECTOR);
        memcpy(place, bytes + i * SECTOR, SECTOR);
    }
}

void disk_flush(struct disk *disk) {
    disk->unflushed_count = 0;
}

void disk_forget_unflushed(struct disk *disk) {
    while (disk->unflushed_count > 0) {
        const struct unflushed *last = &disk->unflushed[--disk->unflushed_count];
        memcpy(disk_at(disk, last->sector), last->before, SECTOR);
    }
}

uint64_t disk_sum(const struct disk *disk, uint64_t used) {
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < used * SECTOR; i += 8) {
        uint64_t word;
        memcpy(&word, disk->bytes + i, 8);
        sum = (sum ^ word) * 0x100000001b3u;
        sum ^= sum >> 29;
    }
    return sum;
}
