/* Takes requests, answers them, and runs one disk operation at a time. */
#include "store.h"
#include "base.h"
#include "clean.h"
#include "group.h"
#include "objects.h"
#include "plan.h"
#include "read.h"
#include "scan.h"
#include "tails.h"
#include "text.h"

#include <string.h>

#define FIELD(name) ((uint8_t)offsetof(struct psdb_request, name))

/* ---- checking requests */

/* Returns the offset of the first field that is invalid for the opcode, or 0. */
static uint8_t request_fault(const struct psdb_request *request, const struct psdb_object *object,
                             uint32_t region) {
    const uint8_t opcode = request->opcode;
    const bool writes = opcode == PSDB_SEAL || opcode == PSDB_COMMIT || opcode == PSDB_PUBLISH;
    const bool indexed =
        opcode == PSDB_READ || opcode == PSDB_SEAL || opcode == PSDB_COMMIT || opcode == PSDB_TAIL;
    const bool named = opcode == PSDB_READ || opcode == PSDB_SEAL;
    if (opcode < PSDB_READ || opcode > PSDB_STAT) return FIELD(opcode);
    if (!named && request->kind != 0) return FIELD(kind);
    if (opcode == PSDB_SEAL && request->kind > PSDB_BUNDLE) return FIELD(kind);
    if (!indexed && request->index != 0) return FIELD(index);
    if (opcode == PSDB_TAIL && request->index > PSDB_MAX_SIZE) return FIELD(index);
    const uint8_t fault = psdb_object_fault(object);
    if (fault != 0) return fault;
    if (opcode == PSDB_COMMIT ? request->size <= request->index || request->size > PSDB_MAX_SIZE
                              : request->size != 0) {
        return FIELD(size);
    }
    if (request->at > (opcode == PSDB_READ ? PSDB_MAX_SIZE : 0)) return FIELD(at);
    if (request->time > (writes ? PSDB_MAX_TIME : 0)) return FIELD(time);
    if (request->offset > (opcode == PSDB_STAT ? 0 : region)) return FIELD(offset);
    if (request->length > (opcode == PSDB_STAT ? 0 : region - request->offset)) return FIELD(length);
    return writes && (request->length == 0 || request->length > PSDB_MAX_OBJECT) ? FIELD(length) : 0;
}

/*
 * Returns the object that a request names. TAIL and STAT name none: for them the
 * object has only the fields that must be valid.
 */
static struct psdb_object request_object(const struct psdb_request *request, uint32_t tenant) {
    struct psdb_object object = {
        .tenant = tenant,
        .ledger = request->ledger,
        .kind = request->kind,
        .level = request->level,
        .index = request->index,
    };
    memcpy(object.name, request->name, sizeof object.name);
    if (request->opcode == PSDB_COMMIT) object.kind = PSDB_TAIL_FILE;
    if (request->opcode == PSDB_PUBLISH || request->opcode == PSDB_STAT) object.kind = PSDB_CHECKPOINT;
    if (request->opcode == PSDB_TAIL) {
        object.kind = PSDB_CHECKPOINT;
        object.index = 0;
    }
    return object;
}

static void answer_stat(struct psdb *store, uint32_t tenant, uint32_t job, const struct psdb_object *object) {
    const uint64_t last = store->config.disk_sectors - PSDB_END_SECTORS;
    const struct psdb_response response = {
        .status = PSDB_OK,
        .value = store->config.disk_sectors,
        .extra = last > store->end ? last - store->end : 0,
        .index = psdb_ledger_of(store, object)->bundles,
    };
    psdb_answer(store, tenant, job, &response);
}

static void answer_tail(struct psdb *store, uint32_t tenant, uint32_t number,
                        const struct psdb_object *object) {
    const struct psdb_request *request = &store->tenants[tenant].jobs[number].request;
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, object);
    const uint32_t first = psdb_tail_from(store, ledger, request->index);
    const uint32_t count = ledger->tail_count - first;
    const uint32_t room = request->length / 8;
    const uint32_t put = count < room ? count : room;
    uint8_t *out = store->config.tenants[tenant].region + request->offset;
    /* The entries between the sealed bundles and the first tail file are lost. */
    if (ledger->tail_count > 0 && psdb_tail_at(store, ledger, 0)->start > 256 * ledger->bundles) {
        psdb_finish(store, tenant, number, PSDB_CORRUPT);
        return;
    }
    for (uint32_t i = 0; i < put; i++) {
        memcpy(out + (size_t)8 * i, &psdb_tail_at(store, ledger, first + i)->start, 8);
    }
    const struct psdb_response response = {.status = PSDB_OK, .value = count, .length = put * 8};
    psdb_answer(store, tenant, number, &response);
}

static void queue_read(struct psdb *store, uint32_t tenant, uint8_t number) {
    struct psdb_tenant_state *state = &store->tenants[tenant];
    struct psdb_job *job = &state->jobs[number];
    struct psdb_ledger_state *ledger = psdb_ledger_of(store, &job->object);
    const bool tail = job->object.kind == PSDB_TAIL_FILE;
    const struct psdb_tail_file *file = tail ? psdb_tail_find(store, ledger, job->object.index) : NULL;
    const struct psdb_slot *slot = tail ? NULL : psdb_object_find(store, job->key);
    if (file == NULL && slot == NULL) {
        psdb_finish(store, tenant, number, PSDB_NONE);
        return;
    }
    job->sector = file != NULL ? file->sector : slot->sector;
    job->length = file != NULL ? file->length : slot->length;
    psdb_list_push(&state->reads, number);
}

/* Takes a job out of the inbox, and answers it or queues it for the disk. */
static void admit_job(struct psdb *store, uint32_t tenant) {
    struct psdb_tenant_state *state = &store->tenants[tenant];
    const uint8_t number = psdb_list_shift(&state->inbox);
    struct psdb_job *job = &state->jobs[number];
    job->object = request_object(&job->request, tenant);
    const uint8_t field =
        request_fault(&job->request, &job->object, store->config.tenants[tenant].region_bytes);
    if (store->state == PSDB_STOPPED || field != 0) {
        const uint8_t status = store->state == PSDB_STOPPED ? PSDB_CORRUPT : PSDB_INVALID;
        const struct psdb_response response = {.status = status, .field = status == PSDB_INVALID ? field : 0};
        psdb_answer(store, tenant, number, &response);
        return;
    }
    psdb_key_make(&job->object, job->key);
    switch (job->request.opcode) {
    case PSDB_READ:
        queue_read(store, tenant, number);
        return;
    case PSDB_TAIL:
        answer_tail(store, tenant, number, &job->object);
        return;
    case PSDB_STAT:
        answer_stat(store, tenant, number, &job->object);
        return;
    default:
        psdb_list_push(&state->writes, number);
        return;
    }
}

/* ---- choosing the next step */

static bool reads_wait(const struct psdb *store) {
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        if (store->tenants[i].reads.count > 0) return true;
    }
    return false;
}

/* Begins a step of a read or of a group, in turn. Returns false if neither needs the disk. */
static bool begin_step(struct psdb *store) {
    const bool group = store->group.phase != PSDB_GROUP_IDLE;
    const bool read = reads_wait(store);
    if (!group && !read) return false;
    store->read_last = read && !(group && store->read_last);
    if (store->read_last) return psdb_read_run(store);
    if (store->clean.done) {
        psdb_group_run(store);
    } else {
        psdb_clean_run(store);
    }
    return true;
}

/* Runs until the disk is busy or no work is left. */
static void run_until_busy(struct psdb *store) {
    while (store->activity == PSDB_NOTHING) {
        if (store->state == PSDB_OPENING) {
            psdb_scan_run(store);
            continue;
        }
        for (uint32_t i = 0; i < store->config.tenant_count; i++) {
            while (store->tenants[i].inbox.count > 0) admit_job(store, i);
        }
        if (store->state == PSDB_STOPPED) return;
        if (store->group.phase == PSDB_GROUP_IDLE) psdb_group_plan(store);
        if (!begin_step(store)) return;
    }
}

/* ---- store.h */

size_t psdb_bytes(void) {
    return sizeof(struct psdb);
}

static const char *config_fault(const struct psdb_config *config) {
    if (config->disk_sectors < 8 || config->disk_sectors > PSDB_MAX_SECTORS) return "disk_sectors: 8 to 2^50";
    if (config->buffer == NULL || config->buffer_bytes < PSDB_MIN_BUFFER ||
        config->buffer_bytes % PSDB_SECTOR != 0) {
        return "buffer: at least 64 KiB, whole sectors";
    }
    const uint32_t slots = config->slot_count;
    if (config->slots == NULL || slots < 4 || (slots & (slots - 1)) != 0)
        return "slots: a power of two, at least 4";
    if (config->tails == NULL || config->tails_each < 1) return "tails: at least one each";
    if (config->tenants == NULL || config->tenant_count < 1 || config->tenant_count > PSDB_MAX_TENANTS) {
        return "tenants: 1 to 31";
    }
    for (uint32_t i = 0; i < config->tenant_count; i++) {
        const struct psdb_tenant *tenant = &config->tenants[i];
        if (tenant->name == NULL || !psdb_tenant_name_ok(tenant->name))
            return "a tenant's name: [a-z0-9][a-z0-9-]{0,62}";
        if (tenant->region == NULL) return "a tenant's region";
        for (uint32_t other = 0; other < i; other++) {
            const char *name = config->tenants[other].name;
            if (strlen(name) == strlen(tenant->name) && memcmp(name, tenant->name, strlen(name)) == 0) {
                return "two tenants of one name";
            }
        }
    }
    return NULL;
}

bool psdb_start(struct psdb *store, const struct psdb_config *config) {
    const char *fault = config_fault(config);
    store->config = *config;
    if (fault != NULL) {
        struct psdb_text text = {.length = 0};
        psdb_text_add(&text, "not a usable configuration: ");
        psdb_text_add(&text, fault);
        psdb_report(store, text.bytes);
        store->state = PSDB_STOPPED;
        return false;
    }
    store->state = PSDB_OPENING;
    psdb_scan_begin(store);
    run_until_busy(store);
    return true;
}

enum psdb_state psdb_state(const struct psdb *store) {
    return store->state;
}

bool psdb_submit(struct psdb *store, uint32_t tenant, const void *message) {
    PSDB_ASSERT(store, tenant < store->config.tenant_count);
    struct psdb_tenant_state *state = &store->tenants[tenant];
    for (uint8_t i = 0; i < PSDB_QUEUE; i++) {
        struct psdb_job *job = &state->jobs[i];
        if (job->state != PSDB_JOB_FREE) continue;
        memset(job, 0, sizeof *job);
        memcpy(&job->request, message, sizeof job->request);
        job->state = PSDB_JOB_TAKEN;
        psdb_list_push(&state->inbox, i);
        return true;
    }
    return false;
}

void psdb_disk_done(struct psdb *store, bool ok) {
    const enum psdb_activity activity = store->activity;
    PSDB_ASSERT(store, activity != PSDB_NOTHING);
    store->activity = PSDB_NOTHING;
    switch (activity) {
    case PSDB_SCANNING:
        psdb_scan_done(store, ok);
        break;
    case PSDB_CLEANING:
        psdb_clean_done(store, ok);
        break;
    case PSDB_GROUPING:
        psdb_group_done(store, ok);
        break;
    default:
        psdb_read_done(store, ok);
        break;
    }
    run_until_busy(store);
}

bool psdb_run(struct psdb *store) {
    run_until_busy(store);
    if (store->activity != PSDB_NOTHING) return true;
    for (uint32_t i = 0; i < store->config.tenant_count; i++) {
        const struct psdb_tenant_state *state = &store->tenants[i];
        PSDB_ASSERT(store, state->inbox.count == 0 && state->reads.count == 0 && state->writes.count == 0);
    }
    return false;
}
