/*
 * Objects: their keys in the table, and their names below a tenant's directory. docs/format.md lists the
 * names. A key is not a hash: each object has exactly one.
 */
#ifndef PSDB_NAMES_H
#define PSDB_NAMES_H

#include "message.h"

#include <stdbool.h>

/* More than the longest path needs: audit/tile/entries/, five groups of digits, .b64 and NUL. */
#define PSDB_OBJECT_PATH 72

struct psdb_object {
    uint32_t tenant; /* at most 255 */
    uint8_t ledger;
    uint8_t kind;
    uint8_t level; /* TILE */
    uint64_t index;
    uint8_t name[PSDB_NAME_BYTES]; /* VKEY */
};

/* Returns the offset in a request of the first field that is out of range, or 0. */
uint8_t psdb_object_fault(const struct psdb_object *object);
/* Makes the key of a valid object. It is never 0: its low byte has the high bit set. */
void psdb_key_make(const struct psdb_object *object, uint64_t key[2]);
/* Reads a key. Returns false if it is not the key of an object. */
bool psdb_key_parse(const uint64_t key[2], struct psdb_object *object);
/* Makes the object's path below its tenant's directory. */
void psdb_path_make(const struct psdb_object *object, char path[PSDB_OBJECT_PATH]);
/* Reads a path, and leaves `tenant` as it is. Returns false if no object has this path. */
bool psdb_path_parse(const char *path, struct psdb_object *object);
/* Reports whether a moduleId may be the directory of a tenant: [a-z0-9][a-z0-9-]{0,62}. */
bool psdb_tenant_name_ok(const char *name);

#endif
