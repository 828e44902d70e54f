/* Headers of POSIX ustar members: IEEE Std 1003.1-2017, pax, "ustar Interchange Format". */
#ifndef PSDB_TAR_H
#define PSDB_TAR_H

#include "message.h"

#include <stdbool.h>

/* A prefix of 155, a slash, a name of 100, NUL. */
#define PSDB_TAR_PATH 257
#define PSDB_TAR_LINK 101
/* Eleven octal digits. */
#define PSDB_TAR_MAX_SIZE 077777777777ull

enum psdb_tar_type {
    PSDB_TAR_FILE = '0',
    PSDB_TAR_HARD_LINK = '1',
    PSDB_TAR_DIRECTORY = '5',
    PSDB_TAR_PAX = 'x',
    PSDB_TAR_PAX_GLOBAL = 'g',
    PSDB_TAR_LONG_NAME = 'L',
    PSDB_TAR_LONG_LINK = 'K',
    PSDB_TAR_SPARSE = 'S',
};

/* The fields of a header. */
struct psdb_tar {
    char path[PSDB_TAR_PATH]; /* prefix and name, without any `./` in front or slash at the end */
    char link[PSDB_TAR_LINK];
    uint64_t size;    /* the size field; psdb_tar_sectors() is the data that follows */
    uint64_t time;    /* only used to make a header */
    uint32_t mode;    /* only used to make a header */
    uint8_t type;     /* NUL and '7' are read as '0' */
    bool more_sparse; /* a GNU sparse member whose map continues in the sectors after the header */
};

/* Why a sector is not a header; `number` is 0 if the text needs none. */
struct psdb_tar_fault {
    const char *expected;
    const char *found;
    uint64_t number;
};

/* Makes the header of `tar`. Returns false if the path cannot be split, or a number is too large. */
bool psdb_tar_make(uint8_t sector[PSDB_SECTOR], const struct psdb_tar *tar);
/* Reads a header with ustar's or GNU's magic. Returns false, with the fault, if it is not one. */
bool psdb_tar_parse(const uint8_t sector[PSDB_SECTOR], struct psdb_tar *tar, struct psdb_tar_fault *fault);
/* Returns the sectors of data after the header. Links and devices have none, whatever their size field. */
uint64_t psdb_tar_sectors(const struct psdb_tar *tar);
/* Reports whether the whole sector is zero. */
bool psdb_tar_is_zero(const uint8_t sector[PSDB_SECTOR]);

#endif
