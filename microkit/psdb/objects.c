/* A hash table with open addressing and linear probing. No slot is ever freed. */
#include "objects.h"
#include "base.h"

#include <string.h>

void psdb_objects_clear(struct psdb *store) {
    memset(store->config.slots, 0, (size_t)store->config.slot_count * sizeof *store->config.slots);
    store->used_slots = 0;
}

/* Hashes both words with the finalizer of MurmurHash3. */
static uint64_t hash_key(const uint64_t key[2]) {
    uint64_t hash = key[0] * 0x9e3779b97f4a7c15ull ^ key[1];
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdull;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ull;
    return hash ^ hash >> 33;
}

/* Returns the key's slot, or the empty slot where it belongs. A third of the slots is always empty. */
static struct psdb_slot *slot_of(struct psdb *store, const uint64_t key[2]) {
    const uint32_t mask = store->config.slot_count - 1;
    uint32_t at = (uint32_t)hash_key(key) & mask;
    for (uint32_t probes = 0;; probes++) {
        PSDB_ASSERT(store, probes <= mask);
        struct psdb_slot *slot = &store->config.slots[at];
        if (slot->key[0] == 0 || (slot->key[0] == key[0] && slot->key[1] == key[1])) return slot;
        at = (at + 1) & mask;
    }
}

struct psdb_slot *psdb_object_find(struct psdb *store, const uint64_t key[2]) {
    struct psdb_slot *slot = slot_of(store, key);
    return slot->key[0] == 0 ? NULL : slot;
}

bool psdb_objects_room(const struct psdb *store, uint64_t more) {
    return (store->used_slots + more) * 3 <= (uint64_t)store->config.slot_count * 2;
}

bool psdb_object_set(struct psdb *store, const struct psdb_object *object, uint64_t sector, uint64_t length) {
    uint64_t key[2];
    psdb_key_make(object, key);
    struct psdb_slot *slot = slot_of(store, key);
    if (slot->key[0] == 0) {
        if (!psdb_objects_room(store, 1)) return false;
        slot->key[0] = key[0];
        slot->key[1] = key[1];
        store->used_slots++;
        if (object->kind != PSDB_CHECKPOINT && sector >= store->tenants[object->tenant].indexed) {
            store->tenants[object->tenant].fresh++;
        }
    }
    slot->sector = sector;
    slot->length = length;
    return true;
}
