/* Reading objects, and comparing a SEAL of a sealed object with that object. */
#include "read.h"
#include "base.h"
#include "member.h"

#include <string.h>

/* One operation reads the member's header together with data that begins this close to it. */
#define NEAR 8u

struct span {
    uint64_t from; /* bytes of the object */
    uint64_t to;
    uint32_t room; /* the sectors that one operation may read */
};

static struct span span_of(const struct psdb *store, const struct psdb_job *job) {
    struct span span = {.room = psdb_buffer_sectors(store)};
    if (job->compare) {
        /* The other half of the buffer holds the copy. */
        span.room /= 2;
        span.to = job->length;
        return span;
    }
    span.from = job->request.at < job->length ? job->request.at : job->length;
    span.to = job->length - span.from < job->request.length ? job->length : span.from + job->request.length;
    return span;
}

/* Sets store->reader to the next tenant with a waiting read. */
static bool pick_reader(struct psdb *store) {
    const uint32_t count = store->config.tenant_count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t tenant = (store->read_turn + i) % count;
        if (store->tenants[tenant].reads.count == 0) continue;
        store->reader = tenant;
        store->read_turn = (tenant + 1) % count;
        return true;
    }
    return false;
}

static struct psdb_job *reader_job(struct psdb *store) {
    struct psdb_tenant_state *state = &store->tenants[store->reader];
    PSDB_ASSERT(store, state->reads.count > 0);
    return &state->jobs[state->reads.job[0]];
}

bool psdb_read_run(struct psdb *store) {
    if (!pick_reader(store)) return false;
    struct psdb_job *job = reader_job(store);
    const struct span span = span_of(store, job);
    const uint64_t first = (span.from + job->done) / PSDB_SECTOR;
    const uint64_t end = psdb_sectors(span.to);
    uint64_t sectors = end > first ? end - first : 0;
    store->reading = job->sector + 1 + first;
    if (!job->checked) {
        store->reading = job->sector;
        sectors = span.from < span.to && first < NEAR ? 1 + end : 1;
    }
    PSDB_ASSERT(store, sectors > 0);
    store->reading_sectors = sectors < span.room ? (uint32_t)sectors : span.room;
    psdb_disk(store, PSDB_READING, PSDB_DISK_READ, store->reading, store->reading_sectors);
    return true;
}

static void finish_job(struct psdb *store, enum psdb_status status) {
    psdb_finish(store, store->reader, psdb_list_shift(&store->tenants[store->reader].reads), status);
}

static void finish_read(struct psdb *store, const struct psdb_job *job, struct span span) {
    const struct psdb_response response = {
        .status = PSDB_OK,
        .value = job->length,
        .length = (uint32_t)(span.to - span.from),
    };
    psdb_answer(store, store->reader, psdb_list_shift(&store->tenants[store->reader].reads), &response);
}

/* Copies the bytes read to the tenant, or compares them. Returns false if they differ. */
static bool use_bytes(struct psdb *store, struct psdb_job *job, struct span span) {
    const struct psdb_tenant *tenant = &store->config.tenants[store->reader];
    uint8_t *buffer = store->config.buffer;
    const uint64_t at = span.from + job->done;
    const uint64_t sector = job->sector + 1 + at / PSDB_SECTOR;
    const uint64_t end = store->reading + store->reading_sectors;
    if (sector < store->reading || sector >= end) return true;
    const size_t skip = (size_t)(sector - store->reading) * PSDB_SECTOR + (size_t)(at % PSDB_SECTOR);
    const size_t have = (size_t)store->reading_sectors * PSDB_SECTOR - skip;
    const size_t bytes = span.to - at < have ? (size_t)(span.to - at) : have;
    uint8_t *shared = tenant->region + job->request.offset + job->done;
    PSDB_ASSERT(store, job->request.offset + job->done + bytes <= tenant->region_bytes);
    job->done += bytes;
    if (!job->compare) {
        memcpy(shared, buffer + skip, bytes);
        return true;
    }
    uint8_t *copy = buffer + (size_t)span.room * PSDB_SECTOR;
    memcpy(copy, shared, bytes);
    return memcmp(copy, buffer + skip, bytes) == 0;
}

void psdb_read_done(struct psdb *store, bool ok) {
    struct psdb_job *job = reader_job(store);
    const struct span span = span_of(store, job);
    if (!ok) {
        finish_job(store, PSDB_IO);
        return;
    }
    if (!job->checked && !psdb_member_is(store, store->config.buffer, &job->object, job->length)) {
        finish_job(store, PSDB_CORRUPT);
        return;
    }
    job->checked = true;
    if (!use_bytes(store, job, span)) {
        finish_job(store, PSDB_CONFLICT);
        return;
    }
    if (span.from + job->done < span.to) return;
    if (job->compare) {
        finish_job(store, PSDB_OK);
    } else {
        finish_read(store, job, span);
    }
}
