/* Chooses the writes of the next group. */
#include "plan.h"
#include "base.h"
#include "index.h"
#include "objects.h"
#include "tails.h"

#include <string.h>

enum plan { PLAN_WRITE, PLAN_PAD, PLAN_INDEX, PLAN_FULL };

static uint64_t index_sectors(struct psdb *store) {
    return PSDB_COMMIT_SECTORS + 1 + psdb_sectors(psdb_index_length(store));
}

/*
 * Returns whether to write a group of `sectors` sectors next, or a pad or an index before it, or that the
 * disk is full. If the group is next, `limit` is the sector at which it must end.
 *
 * Only the first group after an index, or at sector 0, may cross the end of a segment. Opening reads that
 * group's length, and so knows the boundary of the next index. On a disk that another program began, opening
 * looks for no index before the first one, so until then any group may cross.
 */
static enum plan next_on_disk(struct psdb *store, uint64_t sectors, uint64_t *limit) {
    const uint64_t last = store->config.disk_sectors - PSDB_END_SECTORS;
    const uint64_t end = store->end;
    const uint64_t boundary = (end / PSDB_SEGMENT + 1) * PSDB_SEGMENT;
    const uint64_t index = index_sectors(store);
    const bool foreign = store->foreign && store->chain.number == 0;
    const bool first = !foreign && store->chain.end == end;
    const bool may_cross = foreign || first;
    const bool paddable = boundary - end >= PSDB_PAD_SECTORS;
    *limit = last;
    if (end != 0 && end % PSDB_SEGMENT == 0) return end + index + sectors <= last ? PLAN_INDEX : PLAN_FULL;
    if (boundary > last) return end + sectors <= last ? PLAN_WRITE : PLAN_FULL;
    if (end + sectors <= boundary) {
        *limit = boundary;
        return PLAN_WRITE;
    }
    const bool pad = !first && sectors <= PSDB_GROUP_SECTORS;
    if (paddable && (pad || !may_cross) && boundary + index + sectors <= last) return PLAN_PAD;
    return may_cross && end + sectors <= last ? PLAN_WRITE : PLAN_FULL;
}

static void add_item(struct psdb *store, enum psdb_item_type type, uint32_t tenant, uint32_t job,
                     uint64_t length) {
    struct psdb_group *group = &store->group;
    PSDB_ASSERT(store, group->items < PSDB_GROUP_ITEMS);
    group->item_list[group->items++] =
        (struct psdb_item){.type = (uint8_t)type, .job = (uint8_t)job, .tenant = tenant, .length = length};
    group->end += 1 + psdb_sectors(length);
}

static bool has_directory(const struct psdb *store, uint32_t tenant) {
    const struct psdb_group *group = &store->group;
    if (store->tenants[tenant].directory) return true;
    for (uint32_t i = 0; i < group->items; i++) {
        if (group->item_list[i].type == PSDB_ITEM_DIRECTORY && group->item_list[i].tenant == tenant)
            return true;
    }
    return false;
}

/* Reports whether the group already seals this object. */
static bool group_seals(const struct psdb *store, uint32_t tenant, const uint64_t key[2]) {
    const struct psdb_group *group = &store->group;
    for (uint32_t i = 0; i < group->items; i++) {
        const struct psdb_item *item = &group->item_list[i];
        const uint64_t *other = store->tenants[tenant].jobs[item->job].key;
        if (item->type != PSDB_ITEM_OBJECT || item->tenant != tenant) continue;
        if (other[0] == key[0] && other[1] == key[1]) return true;
    }
    return false;
}

enum verdict {
    TAKEN,    /* the write joins the group */
    SETTLED,  /* it is answered, or became a read */
    HELD,     /* it waits for a later group, and so do the tenant's later writes */
    NOT_FIRST /* a pad or an index must be written before it */
};

static enum verdict settle_write(struct psdb *store, uint32_t tenant, enum psdb_status status) {
    psdb_finish(store, tenant, psdb_list_shift(&store->tenants[tenant].writes), status);
    return SETTLED;
}

/* Turns a SEAL of a sealed object into a comparison. Returns TAKEN if the object is new. */
static enum verdict check_seal(struct psdb *store, uint32_t tenant, struct psdb_job *job) {
    struct psdb_tenant_state *state = &store->tenants[tenant];
    const struct psdb_slot *slot = psdb_object_find(store, job->key);
    if (slot == NULL) return group_seals(store, tenant, job->key) ? HELD : TAKEN;
    if (slot->length != job->request.length) return settle_write(store, tenant, PSDB_CONFLICT);
    job->compare = true;
    job->sector = slot->sector;
    job->length = slot->length;
    psdb_list_push(&state->reads, psdb_list_shift(&state->writes));
    return SETTLED;
}

/* Returns TAKEN if the tail file begins after all others. */
static enum verdict check_commit(struct psdb *store, uint32_t tenant, const struct psdb_job *job) {
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, &job->object);
    const uint64_t start = job->object.index;
    if (ledger->pending_tails > 0 && start <= ledger->pending_newest) return HELD;
    if (ledger->tail_count > 0 && start <= psdb_tail_at(store, ledger, ledger->tail_count - 1)->start) {
        return settle_write(store, tenant, PSDB_CONFLICT);
    }
    if (ledger->tail_count + ledger->pending_tails < store->config.tails_each) return TAKEN;
    return ledger->pending_tails > 0 ? HELD : settle_write(store, tenant, PSDB_FULL);
}

/* Decides as much as is possible without the room on the disk; sets whether the object needs a new slot. */
static enum verdict check_write(struct psdb *store, uint32_t tenant, struct psdb_job *job, bool *new_slot) {
    enum verdict verdict = TAKEN;
    *new_slot = job->object.kind != PSDB_TAIL_FILE && psdb_object_find(store, job->key) == NULL;
    if (job->request.opcode == PSDB_SEAL) verdict = check_seal(store, tenant, job);
    if (job->request.opcode == PSDB_COMMIT) verdict = check_commit(store, tenant, job);
    if (verdict != TAKEN || !*new_slot || psdb_objects_room(store, store->group.new_slots + 1))
        return verdict;
    return store->group.new_slots > 0 ? HELD : settle_write(store, tenant, PSDB_FULL);
}

/* Plans a group with one member that belongs to no tenant: a pad or an index. */
static void plan_own_member(struct psdb *store, enum psdb_item_type type, uint64_t time) {
    struct psdb_group *group = &store->group;
    const uint64_t to_boundary = PSDB_SEGMENT - group->start % PSDB_SEGMENT;
    uint64_t length = (to_boundary - PSDB_PAD_SECTORS) * PSDB_SECTOR;
    if (type == PSDB_ITEM_INDEX) {
        psdb_index_begin(store);
        length = store->cursor.length;
    }
    group->time = time;
    add_item(store, type, 0, 0, length);
}

static bool has_room(const struct psdb *store, uint64_t sectors) {
    const struct psdb_group *group = &store->group;
    return group->requests < PSDB_GROUP_REQUESTS && group->end + sectors <= group->limit &&
           group->end + sectors - group->start <= PSDB_GROUP_SECTORS;
}

static void add_write(struct psdb *store, uint32_t tenant, const struct psdb_job *job, bool new_slot) {
    struct psdb_group *group = &store->group;
    const uint8_t number = psdb_list_shift(&store->tenants[tenant].writes);
    if (group->requests == 0) group->time = job->request.time;
    if (!has_directory(store, tenant)) add_item(store, PSDB_ITEM_DIRECTORY, tenant, 0, 0);
    add_item(store, PSDB_ITEM_OBJECT, tenant, number, job->request.length);
    group->requests++;
    if (new_slot) group->new_slots++;
    if (job->request.opcode != PSDB_COMMIT) return;
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, &job->object);
    ledger->pending_tails++;
    ledger->pending_newest = job->object.index;
}

/* Decides whether the group takes the first waiting write of a tenant. */
static enum verdict consider_write(struct psdb *store, uint32_t tenant) {
    struct psdb_group *group = &store->group;
    struct psdb_tenant_state *state = &store->tenants[tenant];
    struct psdb_job *job = &state->jobs[state->writes.job[0]];
    const uint64_t sectors = 1 + psdb_sectors(job->request.length) + (has_directory(store, tenant) ? 0 : 1);
    bool new_slot;
    const enum verdict verdict = check_write(store, tenant, job, &new_slot);
    if (verdict != TAKEN) return verdict;
    if (group->requests > 0) {
        if (!has_room(store, sectors)) return HELD;
        add_write(store, tenant, job, new_slot);
        return TAKEN;
    }
    switch (next_on_disk(store, PSDB_COMMIT_SECTORS + sectors, &group->limit)) {
    case PLAN_PAD:
        plan_own_member(store, PSDB_ITEM_PAD, job->request.time);
        return NOT_FIRST;
    case PLAN_INDEX:
        plan_own_member(store, PSDB_ITEM_INDEX, job->request.time);
        return NOT_FIRST;
    case PLAN_FULL:
        return settle_write(store, tenant, PSDB_FULL);
    default:
        add_write(store, tenant, job, new_slot);
        return TAKEN;
    }
}

/* Adds a pad to this group if it ends too close to a boundary for a pad's own group. */
static void pad_to_boundary(struct psdb *store) {
    struct psdb_group *group = &store->group;
    const uint64_t gap = PSDB_SEGMENT - group->end % PSDB_SEGMENT;
    if (gap >= PSDB_PAD_SECTORS || group->end + gap > store->config.disk_sectors - PSDB_END_SECTORS) return;
    add_item(store, PSDB_ITEM_PAD, 0, 0, (gap - 1) * PSDB_SECTOR);
}

static void reset_group(struct psdb *store) {
    struct psdb_group *group = &store->group;
    group->start = store->end;
    group->end = store->end + PSDB_COMMIT_SECTORS;
    group->items = 0;
    group->requests = 0;
    group->new_slots = 0;
    for (uint32_t i = 0; i < 2 * store->config.tenant_count; i++) store->ledgers[i].pending_tails = 0;
}

/* Adds one write of each tenant in turn, until no tenant's next write may join. */
static void gather_writes(struct psdb *store) {
    const uint32_t count = store->config.tenant_count;
    bool held[PSDB_MAX_TENANTS] = {false};
    bool more = true;
    while (more) {
        more = false;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t tenant = (store->write_turn + i) % count;
            if (held[tenant] || store->tenants[tenant].writes.count == 0) continue;
            const enum verdict verdict = consider_write(store, tenant);
            if (verdict == NOT_FIRST) return;
            held[tenant] = verdict == HELD;
            more = true;
        }
    }
    store->write_turn = store->write_turn + 1 < count ? store->write_turn + 1 : 0;
}

static void refuse_writes(struct psdb *store) {
    for (uint32_t tenant = 0; tenant < store->config.tenant_count; tenant++) {
        while (store->tenants[tenant].writes.count > 0) settle_write(store, tenant, PSDB_IO);
    }
}

void psdb_group_plan(struct psdb *store) {
    struct psdb_group *group = &store->group;
    PSDB_ASSERT(store, group->phase == PSDB_GROUP_IDLE);
    if (store->state == PSDB_READ_ONLY) {
        refuse_writes(store);
        return;
    }
    reset_group(store);
    gather_writes(store);
    if (group->items == 0) return;
    if (group->requests > 0) pad_to_boundary(store);
    group->at = group->start + PSDB_COMMIT_SECTORS;
    group->item = 0;
    group->item_at = 0;
    store->config.host->sha256_begin(group->sha);
    group->phase = PSDB_GROUP_BODY;
}
