/*
 * Writing a batch: all behind its commit member, and two zero sectors behind that; flush; read it back; then
 * the commit member's header, one sector, and flush. Until that sector is there the archive ends where it
 * did.
 */
#include "internal.h"

#include <string.h>

/* ---- the commit member */

static const char hex[] = "0123456789abcdef";

static void make_commit(const struct psdb *store, uint8_t *sector) {
    const struct psdb_batch *batch = &store->batch;
    struct psdb_tar tar = {.type = PSDB_TAR_FILE, .mode = 0600, .size = PSDB_SECTOR, .time = batch->time};
    struct psdb_text behind = {.length = 0};
    memcpy(tar.path, PSDB_COMMIT_PATH, sizeof PSDB_COMMIT_PATH);
    for (size_t i = 0; i < 32; i++) {
        tar.link[2 * i] = hex[batch->digest[i] >> 4];
        tar.link[2 * i + 1] = hex[batch->digest[i] & 15];
    }
    psdb_text_add(&behind, " ");
    psdb_text_number(&behind, batch->end - batch->start - PSDB_COMMIT_SECTORS);
    PSDB_ASSERT(store, 64 + behind.length < PSDB_TAR_LINK);
    memcpy(tar.link + 64, behind.bytes, behind.length + 1);
    const bool made = psdb_tar_make(sector, &tar);
    PSDB_ASSERT(store, made);
}

static int hex_digit(char character) {
    for (int i = 0; i < 16; i++) {
        if (hex[i] == character) return i;
    }
    return -1;
}

static bool parse_link(const char *link, uint8_t digest[32], uint64_t *behind) {
    if (strlen(link) < 66 || link[64] != ' ' || link[65] == '0') return false;
    for (size_t i = 0; i < 32; i++) {
        const int high = hex_digit(link[2 * i]);
        const int low = hex_digit(link[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        digest[i] = (uint8_t)(high << 4 | low);
    }
    *behind = 0;
    for (const char *at = link + 65; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || *behind > PSDB_MAX_SECTORS) return false;
        *behind = *behind * 10 + (uint64_t)(*at - '0');
    }
    return *behind <= PSDB_MAX_SECTORS;
}

bool psdb_commit_parse(const uint8_t *sectors, uint8_t digest[32], uint64_t *behind,
                       struct psdb_tar_fault *fault) {
    struct psdb_tar tar;
    if (!psdb_tar_parse(sectors, &tar, fault)) return false;
    fault->expected = "a commit member with the SHA-256 and the sectors of its batch, and a sector of zeros";
    fault->found = "another member";
    fault->number = 0;
    if (strlen(tar.path) != sizeof PSDB_COMMIT_PATH - 1) return false;
    if (memcmp(tar.path, PSDB_COMMIT_PATH, sizeof PSDB_COMMIT_PATH) != 0) return false;
    fault->found = "something else in it";
    return tar.type == PSDB_TAR_FILE && tar.size == PSDB_SECTOR && parse_link(tar.link, digest, behind) &&
           psdb_tar_is_zero(sectors + PSDB_SECTOR);
}

/* ---- what goes to the disk */

static void make_header(struct psdb *store, const struct psdb_item *item, uint8_t *sector) {
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

/* `sectors` sectors of the item's data, from its sector `from` on: copied once; the hash is of the copy. */
static void make_data(struct psdb *store, const struct psdb_item *item, uint64_t from, uint8_t *out,
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

/* Makes what follows of the item under way, at most `room` sectors; how many. */
static uint32_t make_some(struct psdb *store, uint8_t *out, uint32_t room) {
    struct psdb_batch *batch = &store->batch;
    const struct psdb_item *item = &batch->item_list[batch->item];
    const uint64_t all = 1 + psdb_sectors(item->length);
    const uint64_t left = all - batch->item_at;
    uint32_t made = 1;
    if (batch->item_at == 0) {
        make_header(store, item, out);
    } else {
        made = left < room ? (uint32_t)left : room;
        make_data(store, item, batch->item_at - 1, out, made);
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
        made += make_some(store, buffer + (size_t)made * PSDB_SECTOR, room - made);
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

static void read_back(struct psdb *store) {
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
        read_back(store);
        return;
    case PSDB_BATCH_HEADER:
        make_commit(store, store->config.buffer);
        psdb_disk(store, PSDB_BATCHING, PSDB_DISK_WRITE, batch->start, 1);
        return;
    default:
        PSDB_ASSERT(store, batch->phase != PSDB_BATCH_IDLE);
        psdb_disk(store, PSDB_BATCHING, PSDB_DISK_FLUSH, 0, 0);
        return;
    }
}

/* ---- and after it was there */

static void apply(struct psdb *store, const struct psdb_item *item, uint64_t sector) {
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

static void finished(struct psdb *store) {
    struct psdb_batch *batch = &store->batch;
    uint64_t sector = batch->start + PSDB_COMMIT_SECTORS;
    batch->phase = PSDB_BATCH_IDLE;
    if (batch->start == 0) memcpy(store->chain.digest, batch->digest, sizeof batch->digest);
    store->end = batch->end;
    for (uint32_t i = 0; i < batch->items; i++) {
        const struct psdb_item *item = &batch->item_list[i];
        apply(store, item, sector);
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
        psdb_batch_fail(store, "what was read back is not what was written, at sector ", batch->at + i);
        return;
    }
    batch->at += batch->sectors;
    if (batch->at < batch->end + PSDB_END_SECTORS) return;
    store->config.host->sha256_end(batch->sha, digest);
    if (memcmp(digest, batch->digest, sizeof digest) == 0) {
        batch->phase = PSDB_BATCH_HEADER;
    } else {
        psdb_batch_fail(store, "what was read back is not what was written, in the batch at sector ",
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
        finished(store);
        return;
    }
}
