/*
 * PSDB, the storage server: an append-only object store whose disk is a POSIX ustar archive. No operation
 * overwrites, truncates, renames or deletes a member. docs/psdb.md describes the disk.
 *
 * The store does no I/O itself and never blocks. Requests come in through psdb_submit(). The store asks for
 * one disk operation at a time through `disk`, and learns of its end through psdb_disk_done(). The same
 * source runs in a protection domain, in a process on a host, and under a fuzzer. It allocates nothing: the
 * caller provides all memory at the start.
 */
#ifndef PSDB_STORE_H
#define PSDB_STORE_H

#include "setup.h"

struct psdb; /* state.h; psdb_bytes() returns its size */

size_t psdb_bytes(void);
/*
 * Begins opening the disk. `store`: psdb_bytes() bytes, aligned to 16, zeroed. Returns false, with a report,
 * if the configuration is invalid.
 */
bool psdb_start(struct psdb *store, const struct psdb_config *config);
enum psdb_state psdb_state(const struct psdb *store);
/*
 * Takes a request and copies it first. Returns false if PSDB_QUEUE requests of this tenant are under way; try
 * again after an answer.
 */
bool psdb_submit(struct psdb *store, uint32_t tenant, const void *message);
/* Ends the operation that `disk` began. */
void psdb_disk_done(struct psdb *store, bool ok);
/*
 * Begins all work that can begin; call it after submitting. It puts the requests submitted until then into
 * one group. Returns false if no work is under way and no request waits.
 */
bool psdb_run(struct psdb *store);

#endif
