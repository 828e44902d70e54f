/* Headers of the members that are objects of tenants. */
#ifndef PSDB_MEMBER_H
#define PSDB_MEMBER_H

#include "state.h"

/* Makes the whole path, `<tenant>/…`. */
void psdb_member_path(const struct psdb *store, const struct psdb_object *object, char path[PSDB_TAR_PATH]);
void psdb_member_header(const struct psdb *store, uint8_t *sector, const struct psdb_object *object,
                        uint64_t length, uint64_t time);
/*
 * Reports whether the path is below a configured tenant. `rest` is the part after the slash, empty for the
 * directory itself.
 */
bool psdb_member_tenant(const struct psdb *store, const char *path, uint32_t *tenant, const char **rest);
/* Reports whether the sector is the header of this object with this length. */
bool psdb_member_is(const struct psdb *store, const uint8_t *sector, const struct psdb_object *object,
                    uint64_t length);

#endif
