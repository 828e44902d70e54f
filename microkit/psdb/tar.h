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

/* What a header says. */
struct psdb_tar {
    char path[PSDB_TAR_PATH]; /* prefix and name, without any `./` in front or slash at the end */
    char link[PSDB_TAR_LINK];
    uint64_t size;    /* bytes in the field; what follows is psdb_tar_sectors() */
    uint64_t time;    /* to make one */
    uint32_t mode;    /* to make one */
    uint8_t type;     /* NUL and '7' are given as '0' */
    bool more_sparse; /* a GNU sparse member whose map goes on in sectors of its own */
};

/* Why a sector is no header: both numbers are 0 when the text alone says it. */
struct psdb_tar_fault {
    const char *expected;
    const char *found;
    uint64_t number;
};

/*
 * Fills a sector with the header of `tar`. False: the path has no place to be split at, or a number is too
 * large.
 */
bool psdb_tar_make(uint8_t sector[PSDB_SECTOR], const struct psdb_tar *tar);
/* Reads a header with ustar's or GNU's magic. False, with the fault: it is none. */
bool psdb_tar_parse(const uint8_t sector[PSDB_SECTOR], struct psdb_tar *tar, struct psdb_tar_fault *fault);
/* Sectors of data behind the header: links and devices have none, whatever the size says. */
uint64_t psdb_tar_sectors(const struct psdb_tar *tar);
/* Whether all of the sector is NUL. */
bool psdb_tar_is_zero(const uint8_t sector[PSDB_SECTOR]);

#endif
