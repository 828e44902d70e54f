/* Opening the disk. */
#ifndef PSDB_SCAN_H
#define PSDB_SCAN_H

#include "state.h"

void psdb_scan_begin(struct psdb *store);
/* Runs until it needs the disk, the disk is open, or the store has stopped. */
void psdb_scan_run(struct psdb *store);
void psdb_scan_done(struct psdb *store, bool ok);

#endif
