/* A disk in memory that knows which sectors were written and not flushed. */
#ifndef PSDB_TEST_DISK_H
#define PSDB_TEST_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u
#define SEGMENT 32768u /* sectors: 16 MiB */

struct unflushed {
    uint64_t sector;
    uint8_t before[SECTOR]; /* what a reader saw until then */
    uint8_t written[SECTOR];
};

struct disk {
    uint64_t sectors;
    uint8_t *bytes; /* what a reader sees */
    struct unflushed *unflushed;
    size_t unflushed_count;
    size_t unflushed_room;
};

/* All zeros; takes no memory where nothing is written. */
struct disk *disk_make(uint64_t sectors);
/* What is unflushed there is taken for written. */
struct disk *disk_copy(const struct disk *disk);
void disk_free(struct disk *disk);

uint8_t *disk_at(const struct disk *disk, uint64_t sector);
void disk_write(struct disk *disk, uint64_t sector, uint64_t sectors, const uint8_t *bytes);
void disk_flush(struct disk *disk);
/* What a reader sees without any of the unflushed writes. */
void disk_forget_unflushed(struct disk *disk);
/* FNV-1a over the first `used` sectors: whether anything was changed. */
uint64_t disk_sum(const struct disk *disk, uint64_t used);

#endif
