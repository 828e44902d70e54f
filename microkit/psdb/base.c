#include "base.h"
#include "text.h"

_Noreturn void psdb_assert_failed(const struct psdb *store, const char *file, int line,
                                  const char *condition) {
    struct psdb_text text = {.length = 0};
    psdb_text_add(&text, "psdb: assertion failed: ");
    psdb_text_add(&text, condition);
    psdb_text_add(&text, ", ");
    psdb_text_add(&text, file);
    psdb_text_add(&text, ":");
    psdb_text_number(&text, (uint64_t)line);
    psdb_report(store, text.bytes);
    __builtin_trap();
}

void psdb_report(const struct psdb *store, const char *text) {
    store->config.host->report(store->config.context, text);
}

void psdb_stop(struct psdb *store, uint64_t sector, const char *path, const char *expected, const char *found,
               uint64_t number) {
    struct psdb_text text = {.length = 0};
    psdb_text_add(&text, "sector ");
    psdb_text_number(&text, sector);
    if (path != NULL) {
        psdb_text_add(&text, ", ");
        psdb_text_add(&text, path);
    }
    psdb_text_add(&text, ": expected ");
    psdb_text_add(&text, expected);
    psdb_text_add(&text, ", found ");
    psdb_text_add(&text, found);
    if (number != 0) psdb_text_number(&text, number);
    psdb_report(store, text.bytes);
    store->state = PSDB_STOPPED;
}

void psdb_disk(struct psdb *store, enum psdb_activity activity, enum psdb_disk_op op, uint64_t sector,
               uint32_t sectors) {
    PSDB_ASSERT(store, store->activity == PSDB_NOTHING);
    PSDB_ASSERT(store, sectors <= psdb_buffer_sectors(store) && (sectors > 0) == (op != PSDB_DISK_FLUSH));
    PSDB_ASSERT(store, sector < store->config.disk_sectors && sectors <= store->config.disk_sectors - sector);
    /* The archive is append-only. */
    PSDB_ASSERT(store, op != PSDB_DISK_WRITE || (store->state == PSDB_READY && sector >= store->end));
    store->activity = activity;
    store->config.host->disk(store->config.context, op, sector, sectors);
}

uint32_t psdb_buffer_sectors(const struct psdb *store) {
    return store->config.buffer_bytes / PSDB_SECTOR;
}

uint64_t psdb_sectors(uint64_t bytes) {
    return (bytes + PSDB_SECTOR - 1) / PSDB_SECTOR;
}

void psdb_sha256_add(const struct psdb *store, void *state, const uint8_t *bytes, size_t length) {
    if (length > 0) store->config.host->sha256_add(state, bytes, length);
}

struct psdb_ledger_state *psdb_ledger_of(struct psdb *store, const struct psdb_object *object) {
    PSDB_ASSERT(store, object->tenant < store->config.tenant_count && object->ledger < 2);
    return &store->ledgers[2 * object->tenant + object->ledger];
}

void psdb_answer(struct psdb *store, uint32_t tenant, uint32_t job, const struct psdb_response *response) {
    struct psdb_job *answered = &store->tenants[tenant].jobs[job];
    struct psdb_response whole = *response;
    PSDB_ASSERT(store, answered->state == PSDB_JOB_TAKEN);
    answered->state = PSDB_JOB_FREE;
    whole.id = answered->request.id;
    whole.opcode = answered->request.opcode | 0x80;
    whole.offset = answered->request.offset;
    store->config.host->reply(store->config.context, tenant, &whole);
}

void psdb_finish(struct psdb *store, uint32_t tenant, uint32_t job, enum psdb_status status) {
    const struct psdb_response response = {.status = (uint8_t)status};
    psdb_answer(store, tenant, job, &response);
}

void psdb_list_push(struct psdb_list *list, uint8_t job) {
    list->job[list->count++] = job;
}

uint8_t psdb_list_shift(struct psdb_list *list) {
    const uint8_t job = list->job[0];
    list->count--;
    for (uint32_t i = 0; i < list->count; i++) list->job[i] = list->job[i + 1];
    return job;
}
