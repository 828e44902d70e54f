/* The known tail files, and the count of sealed bundles. */
#ifndef PSDB_TAILS_H
#define PSDB_TAILS_H

#include "state.h"

void psdb_tails_clear(struct psdb_ledger_state *ledger);
/* Returns the tail file at a place; place 0 has the smallest start. */
struct psdb_tail_file *psdb_tail_at(struct psdb *store, struct psdb_ledger_state *ledger, uint32_t place);
/* Returns the place of the first tail file whose start is at least this, or tail_count. */
uint32_t psdb_tail_from(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start);
/* Returns the tail file with this start, or NULL. */
struct psdb_tail_file *psdb_tail_find(struct psdb *store, struct psdb_ledger_state *ledger, uint64_t start);
/* Adds a tail file with a new start. If all places are taken, drops the one with the smallest start. */
void psdb_tail_insert(struct psdb *store, struct psdb_ledger_state *ledger, struct psdb_tail_file file);
/* Drops the tail files before the newest one that starts within the sealed bundles or at their end. */
void psdb_tails_prune(struct psdb *store, struct psdb_ledger_state *ledger);
/* Counts on through the bundles that are sealed without a gap, then prunes the tail files. */
void psdb_bundles_count(struct psdb *store, const struct psdb_object *bundle);

#endif
