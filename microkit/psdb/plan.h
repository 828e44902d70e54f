/* Chooses the writes of the next group. */
#ifndef PSDB_PLAN_H
#define PSDB_PLAN_H

#include "state.h"

/* Puts waiting writes, if there are any, into the next group. Answers the writes that need no group. */
void psdb_group_plan(struct psdb *store);

#endif
