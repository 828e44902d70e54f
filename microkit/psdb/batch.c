/*
 * Writing a batch takes these steps:
 *   1. write everything after its commit member, and two zero sectors after that;
 *   2. flush, read it back and compare;
 *   3. write the commit member's header, one sector, and flush.
 * Until that sector is written, the archive ends where it ended before.
 */
#include "batch.h"
#include "base.h"
#include "commit.h"
#include "index.h"
#include "member.h"
#include "objects.h"
#include "tails.h"
#include "text.h"

#include <string.h>

/* ---- making the batch's sectors */

static void make_item_header(struct psdb *store, const struct psdb_item *item, uint8_t *sector) {
    const struct psdb_batch *batch = &store->batch;
    struct psdb_tar tar = {.type = PSDB_TAR_FILE, .mode = 0600, .size = item->length, .time = batch->time};
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
    struct psdb_batch *batch = &store->batch;
    const struct psdb_item *item = &batch->item_list[batch->item];
    const uint64_t all = 1 + psdb_sectors(item->length);
    const uint64_t left = all - batch->item_at;
    uint32_t made = 1;
    if (batch->item_at == 0) {
        make_item_header(store, item, out);
    } else {
        made = left < room ? (uint32_t)left : room;
        make_item_data(store, item, batch->item_at - 1, out, made);
    }
    batch->item_at += made;
    if (batch->item_at == all) {
        batch->item++;
        batch->item_at = 0;
    }
    return made;
}

static void write_body(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    uint8_t *buffer = store->config.buffer;
    const uint32_t room = psdb_buffer_sectors(store);
    uint32_t made = 0;
    while (made < room && batch->item < batch->items) {
        made += make_item_part(store, buffer + (size_t)made * PSDB_SECTOR, room - made);
    }
    psdb_sha256_add(store, batch->sha, buffer, (size_t)made * PSDB_SECTOR);
    if (batch->item == batch->items) {
        const uint64_t behind = batch->end + PSDB_END_SECTORS - batch->at - made;
        const uint32_t zeros = behind < room - made ? (uint32_t)behind : room - made;
        PSDB_ASSERT(store, batch->at + made <= batch->end + PSDB_END_SECTORS);
        memset(buffer + (size_t)made * PSDB_SECTOR, 0, (size_t)zeros * PSDB_SECTOR);
        made += zeros;
    }
    batch->sectors = made;
    psdb_disk(store, PSDB_BATCHING, PSDB_DISK_WRITE, batch->at, made);
}

static void read_body_back(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    const uint64_t left = batch->end + PSDB_END_SECTORS - batch->at;
    const uint32_t room = psdb_buffer_sectors(store);
    batch->sectors = left < room ? (uint32_t)left : room;
    psdb_disk(store, PSDB_BATCHING, PSDB_DISK_READ, batch->at, batch->sectors);
}

void psdb_batch_run(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    switch (batch->phase) {
    case PSDB_BATCH_BODY:
        write_body(store);
        return;
    case PSDB_BATCH_READ_BACK:
        read_body_back(store);
        return;
    case PSDB_BATCH_HEADER:
        psdb_commit_make(store, store->config.buffer);
        psdb_disk(store, PSDB_BATCHING, PSDB_DISK_WRITE, batch->start, 1);
        return;
    default:
        PSDB_ASSERT(store, batch->phase != PSDB_BATCH_IDLE);
        psdb_disk(store, PSDB_BATCHING, PSDB_DISK_FLUSH, 0, 0);
        return;
    }
}

/* ---- after the batch is on the disk */

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

static void batch_written(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    uint64_t sector = batch->start + PSDB_COMMIT_SECTORS;
    batch->phase = PSDB_BATCH_IDLE;
    if (batch->start == 0) memcpy(store->chain.digest, batch->digest, sizeof batch->digest);
    store->end = batch->end;
    for (uint32_t i = 0; i < batch->items; i++) {
        const struct psdb_item *item = &batch->item_list[i];
        apply_item(store, item, sector);
        sector += 1 + psdb_sectors(item->length);
    }
    PSDB_ASSERT(store, sector == batch->end);
}

void psdb_batch_fail(struct psdb *store, const char *why, uint64_t sector) {
    struct psdb_batch *batch = &store->batch;
    struct psdb_text text = {.length = 0};
    psdb_text_add(&text, "read-only from now on: ");
    psdb_text_add(&text, why);
    psdb_text_number(&text, sector);
    psdb_report(store, text.bytes);
    store->state = PSDB_READ_ONLY;
    batch->phase = PSDB_BATCH_IDLE;
    for (uint32_t i = 0; i < batch->items; i++) {
        const struct psdb_item *item = &batch->item_list[i];
        if (item->type == PSDB_ITEM_OBJECT) psdb_finish(store, item->tenant, item->job, PSDB_IO);
    }
}

static void body_done(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    batch->at += batch->sectors;
    if (batch->at < batch->end + PSDB_END_SECTORS) return;
    PSDB_ASSERT(store, batch->item == batch->items && batch->at == batch->end + PSDB_END_SECTORS);
    store->config.host->sha256_end(batch->sha, batch->digest);
    batch->phase = PSDB_BATCH_FLUSH;
}

static void read_back_done(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    const uint8_t *buffer = store->config.buffer;
    const uint64_t left = batch->end > batch->at ? batch->end - batch->at : 0;
    const uint32_t body = left < batch->sectors ? (uint32_t)left : batch->sectors;
    uint8_t digest[32];
    psdb_sha256_add(store, batch->sha, buffer, (size_t)body * PSDB_SECTOR);
    for (uint32_t i = body; i < batch->sectors; i++) {
        if (psdb_tar_is_zero(buffer + (size_t)i * PSDB_SECTOR)) continue;
        psdb_batch_fail(store, "read back other bytes than were written, at sector ", batch->at + i);
        return;
    }
    batch->at += batch->sectors;
    if (batch->at < batch->end + PSDB_END_SECTORS) return;
    store->config.host->sha256_end(batch->sha, digest);
    if (memcmp(digest, batch->digest, sizeof digest) == 0) {
        batch->phase = PSDB_BATCH_HEADER;
    } else {
        psdb_batch_fail(store, "read back other bytes than were written, in the batch at sector ",
                        batch->start);
    }
}

void psdb_batch_done(struct psdb *store, bool ok) {
    struct psdb_batch *batch = &store->batch;
    if (!ok) {
        const bool flush = batch->phase == PSDB_BATCH_FLUSH || batch->phase == PSDB_BATCH_FLUSH_HEADER;
        const uint64_t at = batch->phase == PSDB_BATCH_BODY || batch->phase == PSDB_BATCH_READ_BACK
                                ? batch->at
                                : batch->start;
        psdb_batch_fail(store,
                        flush ? "a flush failed, of the batch at sector " : "writing failed at sector ", at);
        return;
    }
    switch (batch->phase) {
    case PSDB_BATCH_BODY:
        body_done(store);
        return;
    case PSDB_BATCH_FLUSH:
        batch->at = batch->start + PSDB_COMMIT_SECTORS;
        store->config.host->sha256_begin(batch->sha);
        batch->phase = PSDB_BATCH_READ_BACK;
        return;
    case PSDB_BATCH_READ_BACK:
        read_back_done(store);
        return;
    case PSDB_BATCH_HEADER:
        batch->phase = PSDB_BATCH_FLUSH_HEADER;
        return;
    default:
        PSDB_ASSERT(store, batch->phase == PSDB_BATCH_FLUSH_HEADER);
        batch_written(store);
        return;
    }
}
