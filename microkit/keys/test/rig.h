/* A key disk in memory whose power can be cut, and tenants that ask. */
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
    uint8_t *durable; /* what is there after a power cut */
    uint8_t *written; /* what a read gives */
    uint64_t random;  /* of the rig's choices */
    uint64_t entropy; /* of what the keys are made from */
    uint32_t writes;
    uint32_t flushes;
    uint32_t operations;
    uint32_t fail_at; /* the operation that fails, counted from 1; 0: none */
    uint32_t cut_at;  /* the write or flush at which the power goes, counted from 1 in `changes`; 0: none */
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
    char said[RIG_SAID]; /* lines, since the store was begun */
};

uint32_t rig_random(struct rig *rig, uint32_t below);
/* A disk of zeros, and tenants `test/0`, `test/1`, …; nothing is begun. */
void rig_make(struct rig *rig, uint64_t seed, uint32_t tenants);
void rig_free(struct rig *rig);
/* Power on: begins the store on what is durable, and works until it waits for messages or the power is cut.
 */
void rig_boot(struct rig *rig);
/* The disk as it is now is durable. */
void rig_settle(struct rig *rig);
/* Asks, and works until the answer is there. Answers its status; -1: the power was cut. */
int rig_ask(struct rig *rig, uint32_t tenant, const struct keys_message *message);
/* Asks for a signature on `text` in slot 1; what comes is in `out`, with a NUL. */
int rig_sign(struct rig *rig, uint32_t tenant, uint8_t ledger, const char *text, char *out);
/* Asks for a signature on the checkpoint with the tenant's right name. */
int rig_checkpoint(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root, char *out);
/* Says that what was signed last is in the ledger. */
int rig_kept(struct rig *rig, uint32_t tenant, uint8_t ledger);
/* Asks what was kept; -1 for its size: nothing. `root`: 0 where it is not known. */
int rig_mark(struct rig *rig, uint32_t tenant, uint8_t ledger, int64_t *size, uint8_t *root);
int rig_vkey(struct rig *rig, uint32_t tenant, uint8_t ledger, char *out);
/* The text that rig_checkpoint() has signed. */
void rig_text(const struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t size, uint8_t root,
              char *text);

#endif
