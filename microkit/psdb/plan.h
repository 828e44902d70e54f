/* Choosing what the next batch writes. */
#ifndef PSDB_PLAN_H
#define PSDB_PLAN_H

#include "state.h"

/* Puts waiting writes, if there are any, into the next batch. Answers those that need no write. */
void psdb_batch_plan(struct psdb *store);

#endif
