/* A strict reader of ustar archives, written from POSIX, without code of the store. */
#ifndef PSDB_TEST_ARCHIVE_H
#define PSDB_TEST_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMIT_NAME ".psdb/commit"
#define INDEX_NAME ".psdb/index"
#define PAD_NAME ".psdb/pad"

struct member {
    uint64_t sector; /* of the header; the data follows it */
    uint64_t size;
    uint64_t mtime;
    uint32_t mode;
    char type;
    char name[257];
    char link[101];
};

struct archive {
    struct member *members;
    size_t count;
    size_t room;
    uint64_t end;    /* the first of the two zero sectors */
    char error[300]; /* empty: well-formed */
};

/* Reads members from the sector `from` on, up to two zero sectors. Free it with archive_free(). */
struct archive archive_read(const uint8_t *bytes, uint64_t sectors, uint64_t from);
void archive_free(struct archive *archive);
/* Checks an archive of PSDB: every group begins with a commit member that has the digest of the complete
 * members after it; modes, owners and padding are right. Sets archive->error to the first fault. */
void archive_check_groups(struct archive *archive, const uint8_t *bytes);
/* Returns the last member of that name, or NULL. */
const struct member *archive_find(const struct archive *archive, const char *name);

uint64_t sectors_of(uint64_t bytes);

#endif
