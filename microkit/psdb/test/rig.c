#include "rig.h"

#include "archive.h"
#include "check.h"
#include "random.h"
#include "sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run with more operations than this is in an endless loop. */
#define MAX_STEPS 2000000

static void begin_operation(void *context, enum psdb_disk_op op, uint64_t sector, uint32_t sectors) {
    struct rig *rig = context;
    CHECK(!rig->begun);
    rig->begun = true;
    rig->op = op;
    rig->sector = sector;
    rig->sectors = sectors;
    if (op == PSDB_DISK_FLUSH) {
        CHECK_SAME(sector, 0);
        CHECK_SAME(sectors, 0);
        return;
    }
    CHECK(op == PSDB_DISK_READ || op == PSDB_DISK_WRITE);
    CHECK(sectors > 0);
    CHECK((uint64_t)sectors * SECTOR <= rig->config.buffer_bytes);
    CHECK(sectors <= rig->disk->sectors && sector <= rig->disk->sectors - sectors);
    if (op == PSDB_DISK_WRITE && sector < rig->sealed_end) {
        FAIL("sector %llu is overwritten; everything before %llu is acknowledged", (unsigned long long)sector,
             (unsigned long long)rig->sealed_end);
    }
}

/* Removes one waiting request that the answer may belong to. */
static void take_waiting(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    for (size_t i = 0; i < rig->waiting_count; i++) {
        const struct waiting *waiting = &rig->waiting[i];
        if (waiting->tenant != tenant || waiting->request.id != response->id ||
            (uint8_t)(waiting->request.opcode | 0x80) != response->opcode ||
            waiting->request.offset != response->offset)
            continue;
        rig->waiting[i] = rig->waiting[--rig->waiting_count];
        return;
    }
    FAIL("tenant %u: an answer to no request: id %u, opcode 0x%02x, status %u", tenant, response->id,
         response->opcode, response->status);
}

static bool is_write(const struct psdb_response *response) {
    uint8_t opcode = response->opcode & 0x7f;
    return opcode == PSDB_SEAL || opcode == PSDB_COMMIT || opcode == PSDB_PUBLISH;
}

static void reply(void *context, uint32_t tenant, const struct psdb_response *response) {
    static const uint8_t zeros[sizeof response->reserved];
    struct rig *rig = context;
    CHECK(tenant < rig->config.tenant_count);
    take_waiting(rig, tenant, response);
    CHECK(response->status <= PSDB_INVALID);
    CHECK(response->zero == 0);
    CHECK(response->status == PSDB_INVALID || response->field == 0);
    CHECK_BYTES(response->reserved, zeros, sizeof zeros);
    if (response->status == PSDB_OK && is_write(response)) {
        struct archive archive = archive_read(rig->disk->bytes, rig->disk->sectors, rig->sealed_end);
        if (archive.error[0] != '\0') FAIL("acknowledged, but the archive is broken: %s", archive.error);
        rig->sealed_end = archive.end;
        archive_free(&archive);
    }
    rig->last[tenant] = *response;
    rig->answers++;
    if (rig->options.answered != NULL) rig->options.answered(rig, tenant, response);
}

static void report(void *context, const char *text) {
    struct rig *rig = context;
    size_t used = strlen(rig->reports);
    CHECK(strchr(text, '\n') == NULL);
    (void)snprintf(rig->reports + used, sizeof rig->reports - used, "%s\n", text);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) {
    return value == 0 ? otherwise : value;
}

static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
    CHECK(memory != NULL);
    memset(memory, 0, bytes);
    return memory;
}

static void set_up(struct rig *rig) {
    struct rig_options *options = &rig->options;
    struct psdb_config *config = &rig->config;
    if (options->names[0] == NULL) {
        options->names[0] = "acme";
        options->names[1] = "other";
    }
    for (uint32_t i = 0; i < MAX_RIG_TENANTS && options->names[i] != NULL; i++) {
        struct psdb_tenant *tenant = &rig->tenants[config->tenant_count++];
        tenant->name = options->names[i];
        tenant->region_bytes = or_default(options->region_bytes, 256 * 1024);
        tenant->region = malloc(tenant->region_bytes);
        CHECK(tenant->region != NULL);
        memset(tenant->region, 0xa5, tenant->region_bytes);
    }
    config->disk_sectors = rig->disk->sectors;
    config->buffer_bytes = or_default(options->buffer_bytes, 64 * 1024);
    config->buffer = allocate(config->buffer_bytes);
    config->slot_count = or_default(options->slots, 1024);
    config->slots = allocate(config->slot_count * sizeof *config->slots);
    config->tails_each = or_default(options->tails, 64);
    config->tails = allocate((size_t)config->tails_each * 2 * config->tenant_count * sizeof *config->tails);
    config->tenants = rig->tenants;
    config->host = &rig->host;
    config->context = rig;
    rig->host = (struct psdb_host){begin_operation, reply, report, sha256_begin, sha256_add, sha256_end};
    rig->store = allocate(psdb_bytes());
}

struct rig *rig_start(struct disk *disk, const struct rig_options *options) {
    struct rig *rig = calloc(1, sizeof *rig);
    CHECK(rig != NULL);
    rig->disk = disk;
    if (options != NULL) rig->options = *options;
    set_up(rig);
    rig->sealed_end = rig->options.foreign_end;
    if (psdb_start(rig->store, &rig->config)) return rig;
    CHECK(rig->reports[0] != '\0');
    rig_close(rig);
    return NULL;
}

struct rig *rig_open(struct disk *disk, const struct rig_options *options) {
    struct rig *rig = rig_start(disk, options);
    if (rig == NULL) return NULL;
    rig_run(rig);
    CHECK(psdb_state(rig->store) != PSDB_OPENING);
    return rig;
}

void rig_close(struct rig *rig) {
    for (uint32_t i = 0; i < rig->config.tenant_count; i++) free(rig->tenants[i].region);
    free(rig->config.buffer);
    free(rig->config.slots);
    free(rig->config.tails);
    free(rig->store);
    free(rig);
}

bool rig_submit(struct rig *rig, uint32_t tenant, const struct psdb_request *request) {
    CHECK(rig->waiting_count < sizeof rig->waiting / sizeof rig->waiting[0]);
    size_t before = rig->waiting_count;
    rig->waiting[rig->waiting_count++] = (struct waiting){tenant, *request};
    if (psdb_submit(rig->store, tenant, request)) return true;
    CHECK_SAME(rig->waiting_count, before + 1);
    rig->waiting_count = before;
    return false;
}

/* A failed write may have written any of its sectors. */
static void write_some(struct rig *rig) {
    struct random random = {rig->options.fail_seed + rig->operations};
    unsigned percent = (unsigned)random_below(&random, 3) * 50;
    for (uint32_t i = 0; i < rig->sectors; i++) {
        if (random_chance(&random, percent))
            disk_write(rig->disk, rig->sector + i, 1, rig->config.buffer + (size_t)i * SECTOR);
    }
}

static bool fails(const struct rig *rig) {
    uint64_t fail = rig->options.fail_operation;
    return fail != 0 && (rig->operations == fail || (rig->options.fail_later && rig->operations > fail));
}

static void end_operation(struct rig *rig) {
    size_t bytes = (size_t)rig->sectors * SECTOR;
    rig->operations++;
    bool ok = !fails(rig);
    if (rig->op == PSDB_DISK_READ) {
        rig->sectors_read += rig->sectors;
        if (ok) {
            memcpy(rig->config.buffer, rig->disk->bytes + rig->sector * SECTOR, bytes);
        } else {
            memset(rig->config.buffer, 0xdb, bytes);
        }
    } else if (rig->op == PSDB_DISK_WRITE) {
        rig->sectors_written += rig->sectors;
        if (ok) {
            disk_write(rig->disk, rig->sector, rig->sectors, rig->config.buffer);
        } else {
            write_some(rig);
        }
    } else {
        rig->flushes++;
    }
    if (rig->options.observe != NULL) rig->options.observe(rig, rig->op);
    if (rig->op == PSDB_DISK_FLUSH && ok) disk_flush(rig->disk);
    rig->begun = false;
    psdb_disk_done(rig->store, ok);
}

bool rig_step(struct rig *rig) {
    if (rig->begun) {
        end_operation(rig);
        return true;
    }
    bool more = psdb_run(rig->store);
    if (more && !rig->begun) FAIL("psdb_run reports work under way, but began none");
    if (!more && rig->begun) FAIL("psdb_run began work, but reports none under way");
    return more;
}

void rig_run(struct rig *rig) {
    for (uint64_t steps = 0; rig_step(rig); steps++)
        if (steps > MAX_STEPS) FAIL("no end after %u steps", MAX_STEPS);
    CHECK_SAME(rig->waiting_count, 0);
}

struct psdb_response rig_ask(struct rig *rig, uint32_t tenant, const struct psdb_request *request) {
    CHECK(rig_submit(rig, tenant, request));
    rig_run(rig);
    return rig->last[tenant];
}
