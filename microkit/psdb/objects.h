/* The table of objects: where each one's member is on the disk. */
#ifndef PSDB_OBJECTS_H
#define PSDB_OBJECTS_H

#include "state.h"

void psdb_objects_clear(struct psdb *store);
/* Returns the slot of a key, or NULL. */
struct psdb_slot *psdb_object_find(struct psdb *store, const uint64_t key[2]);
/* Sets the place of a new or known object. Returns false if the table is full. */
bool psdb_object_set(struct psdb *store, const struct psdb_object *object, uint64_t sector, uint64_t length);
/* Reports whether `more` new objects fit. */
bool psdb_objects_room(const struct psdb *store, uint64_t more);

#endif
