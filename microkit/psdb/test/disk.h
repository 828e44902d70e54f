/* A disk in memory that tracks the unflushed sectors. */
#ifndef PSDB_TEST_DISK_H
#define PSDB_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u
#define SEGMENT 32768u /* sectors: 16 MiB */

struct unflushed {
    uint64_t sector;
    uint8_t before[SECTOR]; /* the sector's bytes before the write */
    uint8_t written[SECTOR];
};

struct disk {
    uint64_t sectors;
    uint8_t *bytes; /* the disk's bytes, with the unflushed writes */
    struct unflushed *unflushed;
    size_t unflushed_count;
    size_t unflushed_room;
};

/* Makes a disk of zeros. Sectors without a write take no memory. */
struct disk *disk_make(uint64_t sectors);
/* Counts the unflushed sectors there as written. */
struct disk *disk_copy(const struct disk *disk);
void disk_free(struct disk *disk);

uint8_t *disk_at(const struct disk *disk, uint64_t sector);
void disk_write(struct disk *disk, uint64_t sector, uint64_t sectors, const uint8_t *bytes);
void disk_flush(struct disk *disk);
/* Returns the disk without the unflushed writes. */
void disk_forget_unflushed(struct disk *disk);
/* Hashes the first `used` sectors with FNV-1a, to find changes. */
uint64_t disk_sum(const struct disk *disk, uint64_t used);

#endif
