/* A random history of requests by two tenants, and a model of what must be on the disk. */
#ifndef PSDB_TEST_HISTORY_H
#define PSDB_TEST_HISTORY_H

#include "object.h"
#include "random.h"

#define HISTORY_TENANTS 2u
#define HISTORY_REGION (288u * 1024u)
#define HISTORY_SLOTS 4096u

enum fate {
    UNSURE, /* no answer yet, or IO: the object is complete or absent */
    ACKED,  /* the object is durable: acknowledged, or read */
    GONE,   /* refused, or found absent */
};

struct write {
    uint32_t tenant;
    uint8_t opcode; /* SEAL, COMMIT, PUBLISH */
    enum fate fate;
    struct object object;
    const uint8_t *bytes;
    uint32_t length;
};

struct model {
    struct write *writes; /* in the order of submission */
    size_t count;
    size_t room;
};

struct model model_copy(const struct model *model);
void model_free(struct model *model);
/* Reads everything from an opened store: ACKED objects must have their bytes, UNSURE ones must be complete or
 * absent, and the tails must be right. Every UNSURE write then becomes ACKED or GONE. */
void model_check(struct model *model, struct rig *rig);

struct history {
    struct random random;
    struct model model;
    struct rig *rig;
    bool may_be_full;
    bool may_fail;
    struct request_under_way *under_way;
    size_t under_way_count;
    uint64_t next_id;
    uint64_t next_start[HISTORY_TENANTS][2];
    uint64_t next_bundle[HISTORY_TENANTS][2];
    uint64_t statuses[PSDB_INVALID + 1]; /* answers so far */
};

/* Makes a history that continues from `model`. The history owns `model` from then on. */
struct history *history_make(uint64_t seed, struct model model);
void history_free(struct history *history);
/* Returns options for a store whose answers go to the history. */
struct rig_options history_options(void);
/* Submits some random requests, and runs some steps of the store. */
void history_step(struct history *history);
/* Runs until every request is answered. */
void history_settle(struct history *history);

#endif
