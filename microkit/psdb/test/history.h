/* A history of requests by two tenants, by a seed, and a model of what must be on the disk. */
#ifndef PSDB_TEST_HISTORY_H
#define PSDB_TEST_HISTORY_H

#include "object.h"
#include "random.h"

#define HISTORY_TENANTS 2u
#define HISTORY_REGION (288u * 1024u)
#define HISTORY_SLOTS 4096u

enum fate {
    UNSURE, /* not answered, or with IO: it is there whole, or not at all */
    ACKED,  /* it is there: it was acknowledged, or read */
    GONE,   /* refused, or found not to be there */
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
    struct write *writes; /* in the order in which they were submitted */
    size_t count;
    size_t room;
};

struct model model_copy(const struct model *model);
void model_free(struct model *model);
/*
 * Reads everything back from a store that has been opened: what is ACKED is there with its bytes, what is
 * UNSURE is there whole or not at all, the tails are as they should be. Every UNSURE write becomes ACKED or
 * GONE by what is found.
 */
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

/* A history that goes on from `model`, which becomes its own. */
struct history *history_make(uint64_t seed, struct model model);
void history_free(struct history *history);
/* Options for a store that the history runs on: answers go to the history. */
struct rig_options history_options(void);
/* Submits some requests at random, and does some of the store's steps. */
void history_step(struct history *history);
/* Until every request is answered. */
void history_settle(struct history *history);

#endif
