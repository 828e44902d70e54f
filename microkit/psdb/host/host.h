/* The interfaces between the files of the host process. */
#ifndef PSDB_HOST_H
#define PSDB_HOST_H

#include "store.h"

#include <stddef.h>

/*
 * Exit codes: 1 a failure of this machine, 2 a bad frame or argument, 3 another process has the disk, 99 a
 * simulated power cut.
 */
enum { HOST_FAILED = 1, HOST_BAD = 2, HOST_LOCKED = 3, HOST_CUT = 99 };

struct host_options {
    const char *disk;
    uint64_t size; /* bytes; 0: not given */
    uint32_t region;
    const char *tenants[PSDB_MAX_TENANTS];
    uint32_t tenant_count;
    /* Only in psdb-host-faults: the writes or flushes, counted from 1, that are cut or fail; 0: none. */
    uint64_t cut;
    uint64_t seed;
    uint64_t fail_write;
    uint64_t fail_flush;
};

/* Writes `psdb-host: WHAT` or `WHO: WHAT` to stderr and exits. */
_Noreturn void host_die(int code, const char *who, const char *what);

/* options.c: prints a line and exits if the options are invalid. */
void host_parse(int argc, char **argv, struct host_options *options);

/* disk.c: opens, creates or grows the file, and locks it. Sets its number of whole sectors. */
int host_disk_open(const struct host_options *options, uint64_t *sectors);
bool host_disk_read(int file, uint8_t *buffer, uint64_t sector, uint32_t sectors);
bool host_disk_write(int file, const uint8_t *buffer, uint64_t sector, uint32_t sectors);
bool host_disk_flush(int file);

#ifdef PSDB_FAULTS
/* faults.c: the same three functions, over a cache of which a power cut loses a part. */
void host_faults_begin(const struct host_options *options);
bool host_faults_read(int file, uint8_t *buffer, uint64_t sector, uint32_t sectors);
bool host_faults_write(int file, const uint8_t *buffer, uint64_t sector, uint32_t sectors);
bool host_faults_flush(int file);
#endif

#endif
