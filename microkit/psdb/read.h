/* Reading objects. */
#ifndef PSDB_READ_H
#define PSDB_READ_H

#include "state.h"

/* Begins one operation of a waiting read. Returns false if none waits. */
bool psdb_read_run(struct psdb *store);
void psdb_read_done(struct psdb *store, bool ok);

#endif
