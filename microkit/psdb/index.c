/* Indexes: docs/psdb.md describes their layout. */
#include "index.h"
#include "base.h"
#include "member.h"
#include "objects.h"
#include "tails.h"

#include <string.h>

static const uint8_t magic[8] = {'P', 'S', 'D', 'B', ' ', 'i', 'd', 'x'};

uint64_t psdb_index_length(struct psdb *store) {
    uint64_t members = 0;
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        members += store->tenants[i].fresh;
        members += store->ledgers[2 * i].tail_count;
        members += store->ledgers[2 * i + 1].tail_count;
    }
    return PSDB_INDEX_HEAD + (uint64_t)PSDB_INDEX_TENANT * store->config.tenant_count +
           PSDB_INDEX_MEMBER * members;
}

void psdb_index_begin(struct psdb *store) {
    struct psdb_index_cursor *cursor = &store->cursor;
    memset(cursor, 0, sizeof *cursor);
    cursor->length = psdb_index_length(store);
    store->config.host->sha256_begin(cursor->sha);
}

static uint64_t index_members(uint64_t length, uint32_t tenants) {
    return (length - PSDB_INDEX_HEAD - (uint64_t)PSDB_INDEX_TENANT * tenants) / PSDB_INDEX_MEMBER;
}

static size_t make_index_head(const struct psdb *store, uint8_t *out) {
    struct psdb_index_head head = {
        .version = PSDB_INDEX_VERSION,
        .tenants = store->config.tenant_count,
        .number = store->chain.number + 1,
        .sector = store->group.start,
        .members = index_members(store->cursor.length, store->config.tenant_count),
    };
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.previous, store->chain.digest, sizeof head.previous);
    memcpy(out, &head, sizeof head);
    return sizeof head;
}

static size_t make_index_tenant(struct psdb *store, uint32_t tenant, uint8_t *out) {
    struct psdb_index_tenant record = {
        .since = store->tenants[tenant].indexed,
        .directory = store->tenants[tenant].directory ? 1 : 0,
    };
    const char *name = store->config.tenants[tenant].name;
    memcpy(record.name, name, strlen(name));
    for (uint8_t ledger = 0; ledger < 2; ledger++) {
        const struct psdb_object checkpoint = {.tenant = tenant, .ledger = ledger, .kind = PSDB_CHECKPOINT};
        uint64_t key[2];
        psdb_key_make(&checkpoint, key);
        const struct psdb_slot *slot = psdb_object_find(store, key);
        record.ledgers[ledger].bundles = store->ledgers[2 * tenant + ledger].bundles;
        if (slot == NULL) continue;
        record.ledgers[ledger].checkpoint = slot->sector;
        record.ledgers[ledger].checkpoint_length = slot->length;
    }
    memcpy(out, &record, sizeof record);
    return sizeof record;
}

/* Finds the next object since the last index. */
static bool index_next_object(struct psdb *store, struct psdb_index_member *member) {
    struct psdb_index_cursor *cursor = &store->cursor;
    while (cursor->slot < store->config.slot_count) {
        const struct psdb_slot *slot = &store->config.slots[cursor->slot++];
        struct psdb_object object;
        if (slot->key[0] == 0) continue;
        const bool ours = psdb_key_parse(slot->key, &object);
        PSDB_ASSERT(store, ours);
        if (object.kind == PSDB_CHECKPOINT || slot->sector < store->tenants[object.tenant].indexed) continue;
        memcpy(member->key, slot->key, sizeof member->key);
        member->sector = slot->sector;
        member->length = slot->length;
        return true;
    }
    return false;
}

static bool index_next_tail(struct psdb *store, struct psdb_index_member *member) {
    struct psdb_index_cursor *cursor = &store->cursor;
    while (cursor->ledger < 2 * store->config.tenant_count) {
        struct psdb_ledger_state *ledger = &store->ledgers[cursor->ledger];
        if (cursor->tail < ledger->tail_count) {
            const struct psdb_tail_file *file = psdb_tail_at(store, ledger, cursor->tail++);
            const struct psdb_object object = {
                .tenant = cursor->ledger / 2,
                .ledger = cursor->ledger % 2,
                .kind = PSDB_TAIL_FILE,
                .index = file->start,
            };
            psdb_key_make(&object, member->key);
            member->sector = file->sector;
            member->length = file->length;
            return true;
        }
        cursor->ledger++;
        cursor->tail = 0;
    }
    return false;
}

static size_t make_index_part(struct psdb *store, uint8_t *out) {
    const uint64_t at = store->cursor.at;
    struct psdb_index_member member;
    if (at < PSDB_INDEX_HEAD) return make_index_head(store, out);
    const uint64_t tenant = (at - PSDB_INDEX_HEAD) / PSDB_INDEX_TENANT;
    if (tenant < store->config.tenant_count) return make_index_tenant(store, (uint32_t)tenant, out);
    const bool more = index_next_object(store, &member) || index_next_tail(store, &member);
    PSDB_ASSERT(store, more);
    memcpy(out, &member, sizeof member);
    return sizeof member;
}

void psdb_index_make(struct psdb *store, uint8_t *out, size_t bytes) {
    struct psdb_index_cursor *cursor = &store->cursor;
    struct psdb_index_member member;
    size_t made = 0;
    memset(out, 0, bytes);
    while (made < bytes && cursor->at < cursor->length) {
        const size_t part = make_index_part(store, out + made);
        made += part;
        cursor->at += part;
    }
    PSDB_ASSERT(store, made <= bytes);
    psdb_sha256_add(store, cursor->sha, out, made);
    if (cursor->at < cursor->length) return;
    PSDB_ASSERT(store, !index_next_object(store, &member) && !index_next_tail(store, &member));
    store->config.host->sha256_end(cursor->sha, cursor->digest);
}

void psdb_index_written(struct psdb *store) {
    store->chain.number++;
    store->chain.end = store->group.end;
    memcpy(store->chain.digest, store->cursor.digest, sizeof store->chain.digest);
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        store->tenants[i].indexed = store->group.start;
        store->tenants[i].fresh = 0;
    }
}

bool psdb_index_fits(struct psdb *store, const uint8_t *data, uint64_t length, uint64_t sector) {
    struct psdb_index_head head;
    memcpy(&head, data, sizeof head);
    if (memcmp(head.magic, magic, sizeof magic) != 0 || head.version != PSDB_INDEX_VERSION) return false;
    if (head.tenants < 1 || head.tenants > PSDB_MAX_TENANTS || head.members > length / PSDB_INDEX_MEMBER)
        return false;
    if (length !=
        PSDB_INDEX_HEAD + (uint64_t)PSDB_INDEX_TENANT * head.tenants + PSDB_INDEX_MEMBER * head.members) {
        return false;
    }
    return head.number == store->chain.number + 1 && head.sector == sector &&
           memcmp(head.previous, store->chain.digest, sizeof head.previous) == 0;
}

void psdb_index_load_begin(struct psdb *store, uint64_t length) {
    struct psdb_index_load *load = &store->scan.load;
    memset(load, 0, sizeof *load);
    load->length = length;
    store->config.host->sha256_begin(load->sha);
}

static bool stop_at_index(struct psdb *store, const char *found, uint64_t number) {
    psdb_stop(store, store->scan.group_start, PSDB_INDEX_PATH, "an index of the members before it", found,
              number);
    return false;
}

static bool load_index_head(struct psdb *store, const uint8_t *data) {
    struct psdb_index_load *load = &store->scan.load;
    if (!psdb_index_fits(store, data, load->length, store->scan.group_start)) {
        return stop_at_index(store, "one that does not continue the previous index, number ",
                             store->chain.number);
    }
    memcpy(&load->head, data, sizeof load->head);
    return true;
}

/* Reports whether a range that an index names can be a member before it. */
static bool is_before_index(const struct psdb *store, uint64_t sector, uint64_t length) {
    const uint64_t end = store->scan.group_start;
    return length <= PSDB_TAR_MAX_SIZE && sector < end && 1 + psdb_sectors(length) <= end - sector;
}

static bool load_index_ledger(struct psdb *store, uint32_t tenant, uint8_t number,
                              const struct psdb_index_ledger *record) {
    const struct psdb_object checkpoint = {.tenant = tenant, .ledger = number, .kind = PSDB_CHECKPOINT};
    psdb_tails_clear(&store->ledgers[2 * tenant + number]);
    if (record->checkpoint == 0 && record->checkpoint_length == 0) return true;
    if (!is_before_index(store, record->checkpoint, record->checkpoint_length)) {
        return stop_at_index(store, "a checkpoint that is not before the index, at sector ",
                             record->checkpoint);
    }
    if (psdb_object_set(store, &checkpoint, record->checkpoint, record->checkpoint_length)) return true;
    return stop_at_index(store, "more objects than there is memory for", 0);
}

/* Loads a tenant. The tenant is known again if this index, with those before it, lists all its objects. */
static bool load_index_tenant(struct psdb *store, uint32_t number, const uint8_t *data) {
    struct psdb_index_load *load = &store->scan.load;
    struct psdb_index_tenant record;
    uint32_t tenant;
    const char *rest;
    memcpy(&record, data, sizeof record);
    load->tenant[number] = PSDB_NO_TENANT;
    if (record.name[sizeof record.name - 1] != '\0')
        return stop_at_index(store, "a tenant's name without a NUL", 0);
    if (!psdb_member_tenant(store, (const char *)record.name, &tenant, &rest) || *rest != '\0') return true;
    struct psdb_tenant_state *state = &store->tenants[tenant];
    if (!state->known && record.since > state->known_to) return true;
    state->known = true;
    state->directory = record.directory != 0;
    load->tenant[number] = (uint8_t)tenant;
    load->complete[number] = record.since <= state->indexed;
    for (uint8_t i = 0; i < 2; i++) {
        load->ledgers[number][i] = record.ledgers[i];
        if (!load_index_ledger(store, tenant, i, &record.ledgers[i])) return false;
    }
    return true;
}

static bool load_index_object(struct psdb *store, const struct psdb_object *object,
                              const struct psdb_index_member *member) {
    uint64_t key[2];
    psdb_key_make(object, key);
    const struct psdb_slot *slot = psdb_object_find(store, key);
    if (slot != NULL) {
        if (slot->sector == member->sector && slot->length == member->length) return true;
        return stop_at_index(store, "an object that an earlier index has at another place, at sector ",
                             member->sector);
    }
    if (!psdb_object_set(store, object, member->sector, member->length)) {
        return stop_at_index(store, "more objects than there is memory for", 0);
    }
    psdb_bundles_count(store, object);
    return true;
}

static bool load_index_member(struct psdb *store, const uint8_t *data) {
    struct psdb_index_load *load = &store->scan.load;
    struct psdb_index_member member;
    struct psdb_object object;
    memcpy(&member, data, sizeof member);
    load->members++;
    if (!psdb_key_parse(member.key, &object) || object.kind == PSDB_CHECKPOINT ||
        object.tenant >= load->head.tenants) {
        return stop_at_index(store, "an invalid key in member ", load->members);
    }
    if (!is_before_index(store, member.sector, member.length)) {
        return stop_at_index(store, "an object that is not before the index, at sector ", member.sector);
    }
    if (load->tenant[object.tenant] == PSDB_NO_TENANT) return true;
    object.tenant = load->tenant[object.tenant];
    if (object.kind != PSDB_TAIL_FILE) return load_index_object(store, &object, &member);
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, &object);
    if (psdb_tail_find(store, ledger, object.index) != NULL)
        return stop_at_index(store, "a tail file twice, with first entry ", object.index);
    psdb_tail_insert(store, ledger, (struct psdb_tail_file){object.index, member.sector, member.length});
    return true;
}

/* Loads the part at load.at. Returns its bytes, or 0 if the store has stopped. */
static size_t load_index_part(struct psdb *store, const uint8_t *data) {
    const struct psdb_index_load *load = &store->scan.load;
    if (load->at < PSDB_INDEX_HEAD) return load_index_head(store, data) ? PSDB_INDEX_HEAD : 0;
    const uint64_t tenant = (load->at - PSDB_INDEX_HEAD) / PSDB_INDEX_TENANT;
    if (tenant < load->head.tenants)
        return load_index_tenant(store, (uint32_t)tenant, data) ? PSDB_INDEX_TENANT : 0;
    return load_index_member(store, data) ? PSDB_INDEX_MEMBER : 0;
}

bool psdb_index_load(struct psdb *store, const uint8_t *data, uint32_t sectors) {
    struct psdb_index_load *load = &store->scan.load;
    const size_t bytes = (size_t)sectors * PSDB_SECTOR;
    size_t taken = 0;
    /* Every part's size divides a sector, so the end of the buffer splits none. */
    while (taken < bytes && load->at < load->length) {
        const size_t part = load_index_part(store, data + taken);
        if (part == 0) return false;
        taken += part;
        load->at += part;
    }
    PSDB_ASSERT(store, taken <= bytes);
    psdb_sha256_add(store, load->sha, data, taken);
    return true;
}

bool psdb_index_loaded(struct psdb *store) {
    struct psdb_index_load *load = &store->scan.load;
    PSDB_ASSERT(store, load->at == load->length);
    store->config.host->sha256_end(load->sha, store->chain.digest);
    store->chain.number = load->head.number;
    store->chain.end = store->scan.group_end;
    for (uint32_t i = 0; i < load->head.tenants; i++) {
        const uint32_t tenant = load->tenant[i];
        if (tenant == PSDB_NO_TENANT) continue;
        for (uint32_t ledger = 0; ledger < 2; ledger++) {
            struct psdb_ledger_state *ours = &store->ledgers[2 * tenant + ledger];
            if (ours->bundles != load->ledgers[i][ledger].bundles) {
                return stop_at_index(store, "a wrong number of bundles; the disk has ", ours->bundles);
            }
            psdb_tails_prune(store, ours);
        }
        if (!load->complete[i]) continue;
        store->tenants[tenant].indexed = store->scan.group_start;
        store->tenants[tenant].fresh = 0;
    }
    return true;
}
