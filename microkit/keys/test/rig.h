/* A key disk in memory with power cuts, and tenants that send requests. */
#ifndef RIG_H
#define RIG_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "keys/store.h"
#include "psdb/test/check.h"

#define RIG_SAID 65536u

struct rig {
    uint64_t sectors;
    uint8_t *durable; /* the contents after a power cut */
    uint8_t *written; /* the contents for reads */
    uint64_t random;  /* the rig's random state */
    uint64_t entropy; /* the random state for keys */
    uint32_t writes;
    uint32_t flushes;
    uint32_t operations;
    uint32_t fail_at; /* the failing operation, counted from 1; 0: none */
    uint32_t cut_at;  /* the write or flush of the power cut, counted from 1 in `changes`; 0: none */
    uint32_t changes;
    bool is_cut;
    bool same_random; /* the random bytes are always the same */
    uint32_t tenants;
    struct keys_tenant tenant[KEYS_TENANTS];
    char origins[KEYS_TENANTS][64];
    struct keys_store store;
    uint8_t sector[RECORD_BYTES];
    enum { RIG_NOTHING, RIG_DISK, RIG_RANDOM } pending;
    enum keys_disk_op op;
    uint64_t at;
    bool has_answer;
    struct keys_message answer;
    char said[RIG_SAID]; /* lines since the store's start */
};

uint32_t rig_random(struct rig *rig, uint32_t below);
/* Makes a disk of zeros and tenants `test/0`, `test/1`, … without starting the store. */
void rig_make(struct rig *rig, uint64_t seed, uint32_t tenants);
void rig_free(struct rig *rig);
/* Starts the store on the durable contents, and runs until it waits for messages or a power cut. */
void rig_boot(struct rig *rig);
/* Makes the disk's contents durable. */
void rig_settle(struct rig *rig);
/* Sends a request, and runs until its answer. Returns the status, or -1 after a power cut. */
int rig_ask(struct rig *rig, uint32_t tenant, const struct keys_message *message);
/* Requests a signature on `text` in slot 1. Copies the answer, with a NUL, to `out`. */
int rig_sign(struct rig *rig, uint32_t tenant, uint8_t ledger, const char *text, char *out);
/* Requests a signature on a checkpoint with the tenant's name. */
int rig_checkpoint(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root, char *out);
/* Reports to keys that the last signed checkpoint is in the ledger. */
int rig_kept(struct rig *rig, uint32_t tenant, uint8_t ledger);
/* Requests the high-water mark. Sets its size to -1 if there is none, and the root to 0 if it is unknown. */
int rig_mark(struct rig *rig, uint32_t tenant, uint8_t ledger, int64_t *size, uint8_t *root);
int rig_vkey(struct rig *rig, uint32_t tenant, uint8_t ledger, char *out);
/* Makes the text that rig_checkpoint() has signed. */
void rig_text(const struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root,
              char *text);

#endif
