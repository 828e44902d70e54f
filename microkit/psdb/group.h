/* Writing a group. */
#ifndef PSDB_GROUP_H
#define PSDB_GROUP_H

#include "state.h"

/* Begins the group's next operation. */
void psdb_group_run(struct psdb *store);
void psdb_group_done(struct psdb *store, bool ok);
/* Fails the group after a failed write, and makes the store read-only. */
void psdb_group_fail(struct psdb *store, const char *why, uint64_t sector);

#endif
