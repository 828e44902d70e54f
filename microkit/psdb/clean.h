/* Zeroing the places after the end where an index could be. */
#ifndef PSDB_CLEAN_H
#define PSDB_CLEAN_H

#include "state.h"

void psdb_clean_run(struct psdb *store);
void psdb_clean_done(struct psdb *store, bool ok);

#endif
