/*
 * Writing a group takes these steps:
 *   1. write everything after its commit member, and two zero sectors after that;
 *   2. flush, read it back and compare;
 *   3. write the commit member's header, one sector, and flush.
 * Until that sector is written, the archive ends where it ended before.
 */
#include "group.h"
#include "base.h"
#include "commit.h"
#include "index.h"
#include "member.h"
#include "objects.h"
#include "tails.h"
#include "text.h"

#include <string.h>

/* ---- making the group's sectors */

static void make_item_header(struct psdb *store, const struct psdb_item *item, uint8_t *sector) {
    const struct psdb_group *group = &store->group;
    struct psdb_tar tar = {.type = PSDB_TAR_FILE, .mode = 0600, .size = item->length, .time = group->time};
    if (item->type == PSDB_ITEM_OBJECT) {
        const struct psdb_job *job = &store->tenants[item->tenant].jobs[item->job];
        psdb_member_header(store, sector, &job->object, item->length, job->request.time);
        return;
    }
    if (item->type == PSDB_ITEM_PAD) memcpy(tar.path, PSDB_PAD_PATH, sizeof PSDB_PAD_PATH);
    if (item->type == PSDB_ITEM_INDEX) memcpy(tar.path, PSDB_INDEX_PATH, sizeof PSDB_INDEX_PATH);
    if (item->type == PSDB_ITEM_DIRECTORY) {
        const char *name = store->config.tenants[item->tenant].name;
        memcpy(tar.path, name, strlen(name) + 1);
        tar.type = PSDB_TAR_DIRECTORY;
        tar.mode = 0700;
    }
    const bool made = psdb_tar_make(sector, &tar);
    PSDB_ASSERT(store, made);
}

/* Makes `sectors` sectors of the item's data from its sector `from` on. Reads the tenant's region once. */
static void make_item_data(struct psdb *store, const struct psdb_item *item, uint64_t from, uint8_t *out,
                           size_t sectors) {
    const size_t bytes = sectors * PSDB_SECTOR;
    if (item->type == PSDB_ITEM_INDEX) {
        psdb_index_make(store, out, bytes);
        return;
    }
    memset(out, 0, bytes);
    if (item->type != PSDB_ITEM_OBJECT) return;
    const struct psdb_tenant *tenant = &store->config.tenants[item->tenant];
    const struct psdb_request *request = &store->tenants[item->tenant].jobs[item->job].request;
    const uint64_t at = from * PSDB_SECTOR;
    const uint64_t left = item->length - at;
    const size_t copied = left < bytes ? (size_t)left : bytes;
    PSDB_ASSERT(store, request->offset + at + copied <= tenant->region_bytes);
    memcpy(out, tenant->region + request->offset + at, copied);
}

/* Makes the next part of the current item, at most `room` sectors. Returns how many it made. */
static uint32_t make_item_part(struct psdb *store, uint8_t *out, uint32_t room) {
    struct psdb_group *group = &store->group;
    const struct psdb_item *item = &group->item_list[group->item];
    const uint64_t all = 1 + psdb_sectors(item->length);
    const uint64_t left = all - group->item_at;
    uint32_t made = 1;
    if (group->item_at == 0) {
        make_item_header(store, item, out);
    } else {
        made = left < room ? (uint32_t)left : room;
        make_item_data(store, item, group->item_at - 1, out, made);
    }
    group->item_at += made;
    if (group->item_at == all) {
        group->item++;
        group->item_at = 0;
    }
    return made;
}

static void write_body(struct psdb *store) {
    struct psdb_group *group = &store->group;
    uint8_t *buffer = store->config.buffer;
    const uint32_t room = psdb_buffer_sectors(store);
    uint32_t made = 0;
    while (made < room && group->item < group->items) {
        made += make_item_part(store, buffer + (size_t)made * PSDB_SECTOR, room - made);
    }
    psdb_sha256_add(store, group->sha, buffer, (size_t)made * PSDB_SECTOR);
    if (group->item == group->items) {
        const uint64_t behind = group->end + PSDB_END_SECTORS - group->at - made;
        const uint32_t zeros = behind < room - made ? (uint32_t)behind : room - made;
        PSDB_ASSERT(store, group->at + made <= group->end + PSDB_END_SECTORS);
        memset(buffer + (size_t)made * PSDB_SECTOR, 0, (size_t)zeros * PSDB_SECTOR);
        made += zeros;
    }
    group->sectors = made;
    psdb_disk(store, PSDB_GROUPING, PSDB_DISK_WRITE, group->at, made);
}

static void read_body_back(struct psdb *store) {
    struct psdb_group *group = &store->group;
    const uint64_t left = group->end + PSDB_END_SECTORS - group->at;
    const uint32_t room = psdb_buffer_sectors(store);
    group->sectors = left < room ? (uint32_t)left : room;
    psdb_disk(store, PSDB_GROUPING, PSDB_DISK_READ, group->at, group->sectors);
}

void psdb_group_run(struct psdb *store) {
    struct psdb_group *group = &store->group;
    switch (group->phase) {
    case PSDB_GROUP_BODY:
        write_body(store);
        return;
    case PSDB_GROUP_READ_BACK:
        read_body_back(store);
        return;
    case PSDB_GROUP_HEADER:
        psdb_commit_make(store, store->config.buffer);
        psdb_disk(store, PSDB_GROUPING, PSDB_DISK_WRITE, group->start, 1);
        return;
    default:
        PSDB_ASSERT(store, group->phase != PSDB_GROUP_IDLE);
        psdb_disk(store, PSDB_GROUPING, PSDB_DISK_FLUSH, 0, 0);
        return;
    }
}

/* ---- after the group is on the disk */

static void apply_item(struct psdb *store, const struct psdb_item *item, uint64_t sector) {
    struct psdb_tenant_state *state = &store->tenants[item->tenant];
    if (item->type == PSDB_ITEM_DIRECTORY) state->directory = true;
    if (item->type == PSDB_ITEM_INDEX) psdb_index_written(store);
    if (item->type != PSDB_ITEM_OBJECT) return;
    const struct psdb_object *object = &state->jobs[item->job].object;
    if (object->kind == PSDB_TAIL_FILE) {
        struct psdb_ledger_state *ledger = psdb_ledger_of(store, object);
        PSDB_ASSERT(store, ledger->tail_count < store->config.tails_each);
        psdb_tail_insert(store, ledger, (struct psdb_tail_file){object->index, sector, item->length});
        psdb_tails_prune(store, ledger);
    } else {
        const bool set = psdb_object_set(store, object, sector, item->length);
        PSDB_ASSERT(store, set);
        psdb_bundles_count(store, object);
    }
    psdb_finish(store, item->tenant, item->job, PSDB_OK);
}

static void group_written(struct psdb *store) {
    struct psdb_group *group = &store->group;
    uint64_t sector = group->start + PSDB_COMMIT_SECTORS;
    group->phase = PSDB_GROUP_IDLE;
    if (group->start == 0) memcpy(store->chain.digest, group->digest, sizeof group->digest);
    store->end = group->end;
    for (uint32_t i = 0; i < group->items; i++) {
        const struct psdb_item *item = &group->item_list[i];
        apply_item(store, item, sector);
        sector += 1 + psdb_sectors(item->length);
    }
    PSDB_ASSERT(store, sector == group->end);
}

void psdb_group_fail(struct psdb *store, const char *why, uint64_t sector) {
    struct psdb_group *group = &store->group;
    struct psdb_text text = {.length = 0};
    psdb_text_add(&text, "read-only from now on: ");
    psdb_text_add(&text, why);
    psdb_text_number(&text, sector);
    psdb_report(store, text.bytes);
    store->state = PSDB_READ_ONLY;
    group->phase = PSDB_GROUP_IDLE;
    for (uint32_t i = 0; i < group->items; i++) {
        const struct psdb_item *item = &group->item_list[i];
        if (item->type == PSDB_ITEM_OBJECT) psdb_finish(store, item->tenant, item->job, PSDB_IO);
    }
}

static void body_done(struct psdb *store) {
    struct psdb_group *group = &store->group;
    group->at += group->sectors;
    if (group->at < group->end + PSDB_END_SECTORS) return;
    PSDB_ASSERT(store, group->item == group->items && group->at == group->end + PSDB_END_SECTORS);
    store->config.host->sha256_end(group->sha, group->digest);
    group->phase = PSDB_GROUP_FLUSH;
}

static void read_back_done(struct psdb *store) {
    struct psdb_group *group = &store->group;
    const uint8_t *buffer = store->config.buffer;
    const uint64_t left = group->end > group->at ? group->end - group->at : 0;
    const uint32_t body = left < group->sectors ? (uint32_t)left : group->sectors;
    uint8_t digest[32];
    psdb_sha256_add(store, group->sha, buffer, (size_t)body * PSDB_SECTOR);
    for (uint32_t i = body; i < group->sectors; i++) {
        if (psdb_tar_is_zero(buffer + (size_t)i * PSDB_SECTOR)) continue;
        psdb_group_fail(store, "read back other bytes than were written, at sector ", group->at + i);
        return;
    }
    group->at += group->sectors;
    if (group->at < group->end + PSDB_END_SECTORS) return;
    store->config.host->sha256_end(group->sha, digest);
    if (memcmp(digest, group->digest, sizeof digest) == 0) {
        group->phase = PSDB_GROUP_HEADER;
    } else {
        psdb_group_fail(store, "read back other bytes than were written, in the group at sector ",
                        group->start);
    }
}

void psdb_group_done(struct psdb *store, bool ok) {
    struct psdb_group *group = &store->group;
    if (!ok) {
        const bool flush = group->phase == PSDB_GROUP_FLUSH || group->phase == PSDB_GROUP_FLUSH_HEADER;
        const uint64_t at = group->phase == PSDB_GROUP_BODY || group->phase == PSDB_GROUP_READ_BACK
                                ? group->at
                                : group->start;
        psdb_group_fail(store,
                        flush ? "a flush failed, of the group at sector " : "writing failed at sector ", at);
        return;
    }
    switch (group->phase) {
    case PSDB_GROUP_BODY:
        body_done(store);
        return;
    case PSDB_GROUP_FLUSH:
        group->at = group->start + PSDB_COMMIT_SECTORS;
        store->config.host->sha256_begin(group->sha);
        group->phase = PSDB_GROUP_READ_BACK;
        return;
    case PSDB_GROUP_READ_BACK:
        read_back_done(store);
        return;
    case PSDB_GROUP_HEADER:
        group->phase = PSDB_GROUP_FLUSH_HEADER;
        return;
    default:
        PSDB_ASSERT(store, group->phase == PSDB_GROUP_FLUSH_HEADER);
        group_written(store);
        return;
    }
}
