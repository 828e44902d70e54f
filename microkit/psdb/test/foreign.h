/* Archives of other programs, and broken ones: puts members on a disk one by one. */
#ifndef PSDB_TEST_FOREIGN_H
#define PSDB_TEST_FOREIGN_H

#include "disk.h"

struct foreign {
    struct disk *disk;
    uint64_t at;     /* the sector for the next member */
    uint64_t commit; /* the commit member of the group that was begun */
};

struct entry {
    const char *name; /* at most 100 bytes; may fill the field without a NUL */
    const char *prefix;
    const char *link;
    const char *bytes; /* the data; NULL: `size` bytes made of `seed` */
    uint64_t seed;
    uint64_t size;
    uint32_t mode;
    char type;    /* '0' by default */
    bool gnu;     /* GNU's magic, and a user's name */
    bool no_data; /* only the header */
};

/* Writes a header, with the right checksum. */
void put_header(uint8_t header[SECTOR], const struct entry *entry);
/* Corrects the checksum after a change to the header. */
void put_sum(uint8_t header[SECTOR]);
/* Puts a member on the disk. Returns the sector of its header. */
uint64_t put_entry(struct foreign *foreign, const struct entry *entry);
/* Puts a pax extended header with records `length key=value\n`. */
void put_pax(struct foreign *foreign, char type, const char *records);
/* Begins and ends a group, with the right digest in its commit member. */
void begin_group(struct foreign *foreign);
void end_group(struct foreign *foreign);
/* Puts a member of another program at the disk's start: with its data, zeros, it takes `sectors` sectors. */
void put_filler(struct disk *disk, uint64_t sectors);

#endif
