/* Objects of the ledger format, requests for them, and a tenant that sends them. */
#ifndef PSDB_TEST_OBJECT_H
#define PSDB_TEST_OBJECT_H

#include "rig.h"

struct object {
    uint8_t ledger;
    uint8_t kind;
    uint8_t level;
    uint64_t index;
    const char *name; /* VKEY */
};

#define README(l) ((struct object){.ledger = (l), .kind = PSDB_README})
#define VERIFIER(l) ((struct object){.ledger = (l), .kind = PSDB_README, .index = 1})
#define ORIGIN(l) ((struct object){.ledger = (l), .kind = PSDB_ORIGIN})
#define VKEY(l, n) ((struct object){.ledger = (l), .kind = PSDB_VKEY, .name = (n)})
#define TILE(l, v, i) ((struct object){.ledger = (l), .kind = PSDB_TILE, .level = (v), .index = (i)})
#define BUNDLE(l, i) ((struct object){.ledger = (l), .kind = PSDB_BUNDLE, .index = (i)})
#define TAIL_FILE(l, i) ((struct object){.ledger = (l), .kind = PSDB_TAIL_FILE, .index = (i)})
#define CHECKPOINT(l) ((struct object){.ledger = (l), .kind = PSDB_CHECKPOINT})

/* The member time of the tests' writes. */
#define NOW 1800000000u

/* Returns the member's name, such as `acme/audit/tile/0/x001/234.b64`, in a static buffer. */
const char *object_path(const char *tenant, const struct object *object);

struct psdb_request read_request(struct object object, uint64_t at, uint32_t offset, uint32_t length);
struct psdb_request seal_request(struct object object, uint32_t offset, uint32_t length);
struct psdb_request commit_request(uint8_t ledger, uint64_t start, uint64_t size, uint32_t offset,
                                   uint32_t length);
struct psdb_request publish_request(uint8_t ledger, uint32_t offset, uint32_t length);
struct psdb_request tail_request(uint8_t ledger, uint64_t index, uint32_t offset, uint32_t length);
struct psdb_request stat_request(uint8_t ledger);

/* These put the bytes of `seed` at the beginning of the region, send the request, and return the status. */
enum psdb_status seal(struct rig *rig, uint32_t tenant, struct object object, uint64_t seed, uint32_t length);
enum psdb_status commit(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t start, uint64_t size,
                        uint64_t seed, uint32_t length);
enum psdb_status publish(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t seed, uint32_t length);
struct psdb_response ask_stat(struct rig *rig, uint32_t tenant, uint8_t ledger);
/* Reads an object of any size to `bytes`, which malloc() allocates; NULL unless the status is OK. */
enum psdb_status read_whole(struct rig *rig, uint32_t tenant, struct object object, uint8_t **bytes,
                            uint64_t *length);
/* Checks that the object has the bytes of `seed`. */
void check_object(struct rig *rig, uint32_t tenant, struct object object, uint64_t seed, uint64_t length);
void check_none(struct rig *rig, uint32_t tenant, struct object object);
/* Checks that the tail's list has exactly these `count` starts. */
void check_tail(struct rig *rig, uint32_t tenant, uint8_t ledger, const uint64_t *starts, uint64_t count);
/* Reads PSDB's archive strictly, and fails unless it is valid. Returns the number of members called `name`.
 */
size_t check_archive(const struct disk *disk, const char *name);

#endif
