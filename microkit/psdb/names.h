/*
 * Objects: their keys in the table, and their names below a tenant's directory. docs/format.md has the names;
 * a key is one to one with its object, no hash.
 */
#ifndef PSDB_NAMES_H
#define PSDB_NAMES_H

#include "message.h"

#include <stdbool.h>

/* audit/tile/entries/ and five groups of four, the last of three, .b64, NUL: with room to spare. */
#define PSDB_OBJECT_PATH 72

struct psdb_object {
    uint32_t tenant; /* at most 255 */
    uint8_t ledger;
    uint8_t kind;
    uint8_t level; /* TILE */
    uint64_t index;
    uint8_t name[PSDB_NAME_BYTES]; /* VKEY */
};

/* The offset in a request of the first field that is not one of an object; 0 when all are. */
uint8_t psdb_object_fault(const struct psdb_object *object);
/* The key of an object without fault. Never 0; its low byte has the high bit set. */
void psdb_key_make(const struct psdb_object *object, uint64_t key[2]);
/* False: this is no key. */
bool psdb_key_parse(const uint64_t key[2], struct psdb_object *object);
/* The object's path below its tenant's directory. */
void psdb_path_make(const struct psdb_object *object, char path[PSDB_OBJECT_PATH]);
/* False: no object has this path. `tenant` is left alone. */
bool psdb_path_parse(const char *path, struct psdb_object *object);
/* Whether a moduleId may be the directory of a tenant: [a-z0-9][a-z0-9-]{0,62}. */
bool psdb_tenant_name_ok(const char *name);

#endif
