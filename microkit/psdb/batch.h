/* Writing a batch. */
#ifndef PSDB_BATCH_H
#define PSDB_BATCH_H

#include "state.h"

/* Begins the batch's next operation. */
void psdb_batch_run(struct psdb *store);
void psdb_batch_done(struct psdb *store, bool ok);
/* Fails the batch after a failed write, and makes the store read-only. */
void psdb_batch_fail(struct psdb *store, const char *why, uint64_t sector);

#endif
