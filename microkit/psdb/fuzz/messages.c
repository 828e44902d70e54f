/* The input becomes the requests of two tenants, the contents of their regions, failed disk operations, and
 * power cuts. Sealed bytes must never change, no tenant may receive another's bytes, every request must have
 * one answer, and the disk must open again. */
#include "../test/archive.h"
#include "../test/check.h"
#include "../test/object.h"
#include "../test/random.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

#define DISK 700u
#define REGION (24u * 1024u)
#define MAX_SEALED 400u
#define MAX_COMMANDS 400u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
/* The name is AddressSanitizer's. NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
const char *__asan_default_options(void);

/* Keep the quarantine of freed memory small: each input frees much. */
const char *__asan_default_options(void) {
    return "quarantine_size_mb=4";
}

struct sealed {
    uint32_t tenant;
    struct object object;
    char name[PSDB_NAME_BYTES + 1];
    uint64_t sector;
    uint64_t length;
    uint8_t *bytes;
};

struct world {
    struct input input;
    struct disk *disk;
    struct rig *rig;
    struct sealed sealed[MAX_SEALED];
    size_t sealed_count;
    struct psdb_request asked[2 * 2 * PSDB_QUEUE]; /* the requests, by their id */
    uint32_t next_id;
    uint64_t sealed_end;
    uint8_t scribbles; /* the region changes during the following operations */
};

/* Makes bytes below 0x80 for tenant 0, and the others for tenant 1, so that each tenant's bytes are
 * recognizable. */
static uint8_t own_byte(uint32_t tenant, uint8_t byte) {
    return tenant == 0 ? byte & 0x7f : byte | 0x80;
}

static void check_own(const struct rig *rig, uint32_t tenant, uint32_t offset, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = rig->tenants[tenant].region[offset + i];
        if (own_byte(tenant, byte) != byte) FAIL("tenant %u was given bytes of the other", tenant);
    }
}

/* Remembers an acknowledged object with its content on the disk. */
static void remember(struct world *world, uint32_t tenant, const struct psdb_request *request) {
    struct sealed *sealed = &world->sealed[world->sealed_count];
    if (world->sealed_count == MAX_SEALED || request->opcode == PSDB_PUBLISH) return;
    memset(sealed, 0, sizeof *sealed);
    memcpy(sealed->name, request->name, PSDB_NAME_BYTES);
    sealed->tenant = tenant;
    sealed->object = (struct object){
        .ledger = request->ledger, .kind = request->kind, .level = request->level, .index = request->index};
    if (request->opcode == PSDB_COMMIT) sealed->object.kind = PSDB_TAIL_FILE;
    if (sealed->object.kind == PSDB_VKEY) sealed->object.name = sealed->name;
    struct archive archive = archive_read(world->disk->bytes, DISK, 0);
    const char *path = object_path(world->rig->tenants[tenant].name, &sealed->object);
    const struct member *member = archive_find(&archive, path);
    if (member == NULL) FAIL("%s was acknowledged but is not on the disk", path);
    sealed->sector = member->sector;
    sealed->length = member->size;
    archive_free(&archive);
    sealed->bytes = malloc(sealed->length + 1);
    CHECK(sealed->bytes != NULL);
    memcpy(sealed->bytes, disk_at(world->disk, sealed->sector) + SECTOR, sealed->length);
    world->sealed_count++;
}

static void answered(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    struct world *world = rig->options.context;
    const struct psdb_request *request =
        &world->asked[response->id % (sizeof world->asked / sizeof world->asked[0])];
    if (response->status != PSDB_OK) return;
    if (request->opcode == PSDB_READ) check_own(rig, tenant, response->offset, response->length);
    if (request->opcode == PSDB_SEAL || request->opcode == PSDB_COMMIT) remember(world, tenant, request);
}

static void observe(struct rig *rig, enum psdb_disk_op op) {
    struct world *world = rig->options.context;
    struct random random = {world->scribbles + rig->operations};
    if (world->scribbles == 0) return;
    uint32_t tenant = world->scribbles & 1;
    for (int i = 0; i < 40; i++) {
        uint64_t value = random_next(&random);
        rig->tenants[tenant].region[value % REGION] = own_byte(tenant, (uint8_t)(value >> 32));
    }
    (void)op;
}

static void fill_region(uint8_t *region, uint32_t tenant) {
    static uint8_t filled[2][REGION];
    for (uint32_t i = 0; filled[tenant][REGION - 1] == 0 && i < REGION; i++)
        filled[tenant][i] = own_byte(tenant, (uint8_t)(i * 7 + i / 512 + 1));
    memcpy(region, filled[tenant], REGION);
}

static void open_world(struct world *world, uint64_t fail) {
    struct rig_options options = {.region_bytes = REGION,
                                  .slots = 64,
                                  .tails = 8,
                                  .foreign_end = world->sealed_end,
                                  .observe = observe,
                                  .answered = answered,
                                  .context = world,
                                  .fail_operation = fail};
    world->rig = rig_start(world->disk, &options);
    CHECK(world->rig != NULL);
    for (uint32_t tenant = 0; tenant < 2; tenant++) fill_region(world->rig->tenants[tenant].region, tenant);
}

/* Checks the bytes of every sealed object. A superseded tail file may be missing. */
static void check_sealed(struct world *world) {
    for (size_t i = 0; i < world->sealed_count; i++) {
        const struct sealed *sealed = &world->sealed[i];
        struct object object = sealed->object;
        uint8_t *bytes = NULL;
        uint64_t length = 0;
        if (object.kind == PSDB_VKEY) object.name = sealed->name;
        enum psdb_status status = read_whole(world->rig, sealed->tenant, object, &bytes, &length);
        if (status == PSDB_NONE && object.kind == PSDB_TAIL_FILE) continue;
        if (status != PSDB_OK) FAIL("%s: status %d", object_path("", &object), (int)status);
        CHECK_SAME(length, sealed->length);
        CHECK_BYTES(bytes, sealed->bytes, length);
        free(bytes);
    }
}

/* The rig checks regions that this test has filled with other bytes. */
static void check_world(struct world *world) {
    world->rig->options.answered = NULL;
    world->rig->options.observe = NULL;
    world->rig->options.fail_operation = 0;
    check_sealed(world);
    check_archive(world->disk, NULL);
}

static void close_world(struct world *world) {
    world->sealed_end = world->rig->sealed_end;
    rig_close(world->rig);
}

/* Cuts the power: some of the unflushed writes are on the disk. */
static void cut_power(struct world *world) {
    struct random random = {take_byte(&world->input)};
    struct disk *disk = world->disk;
    unsigned percent = (unsigned)random_below(&random, 5) * 25;
    size_t count = disk->unflushed_count;
    struct unflushed *kept = malloc((count + 1) * sizeof *kept);
    CHECK(kept != NULL);
    if (count > 0) memcpy(kept, disk->unflushed, count * sizeof *kept);
    disk_forget_unflushed(disk);
    for (size_t i = 0; i < count; i++)
        if (random_chance(&random, percent)) memcpy(disk_at(disk, kept[i].sector), kept[i].written, SECTOR);
    free(kept);
    close_world(world);
    open_world(world, 0);
    rig_run(world->rig);
    if (psdb_state(world->rig->store) != PSDB_READY)
        FAIL("does not open after a power cut: %s", world->rig->reports);
    check_world(world);
    close_world(world);
    open_world(world, 0);
}

/* Opens the store again, perhaps with a failing read. */
static void reopen(struct world *world) {
    uint8_t fail = take_byte(&world->input);
    rig_run(world->rig);
    close_world(world);
    if (fail % 4 == 0) {
        open_world(world, 1 + fail / 4);
        rig_run(world->rig);
        close_world(world);
    }
    disk_flush(world->disk);
    open_world(world, 0);
    rig_run(world->rig);
    if (psdb_state(world->rig->store) != PSDB_READY) FAIL("does not open again: %s", world->rig->reports);
}

static struct psdb_request take_request(struct input *input) {
    static const char *const names[] = {"a", "ed25519", "0123456789abcdef", "A", "a/b", ""};
    uint8_t what = take_byte(input);
    struct psdb_request request = {.opcode = what % 8, .ledger = what / 8 % 2};
    bool writes =
        request.opcode == PSDB_SEAL || request.opcode == PSDB_COMMIT || request.opcode == PSDB_PUBLISH;
    if (request.opcode == PSDB_READ || request.opcode == PSDB_SEAL) {
        request.kind = what / 16 % 8;
        if (request.kind == PSDB_TILE) request.level = take_byte(input) % 9;
        if (request.kind == PSDB_TILE || request.kind == PSDB_BUNDLE || request.kind == PSDB_TAIL_FILE)
            request.index = take_index(input);
        if (request.kind == PSDB_VKEY) {
            const char *name = names[take_byte(input) % 6];
            memcpy(request.name, name, strlen(name));
        }
    }
    if (request.opcode == PSDB_COMMIT || request.opcode == PSDB_TAIL) request.index = take_index(input);
    if (request.opcode == PSDB_COMMIT) request.size = request.index + 1 + what / 32;
    if (request.opcode == PSDB_READ) request.at = take_byte(input) * 37u;
    if (writes) request.time = 1800000000u;
    if (request.opcode != PSDB_STAT) {
        request.offset = take_byte(input) * 16u;
        request.length = take_byte(input) * (what & 16 ? 67u : 9u);
    }
    return request;
}

static void submit(struct world *world, bool raw) {
    uint32_t tenant = take_byte(&world->input) & 1;
    struct psdb_request request;
    if (raw) {
        take_bytes(&world->input, &request, sizeof request);
    } else {
        request = take_request(&world->input);
    }
    if (!raw && (take_byte(&world->input) & 15) == 15)
        ((uint8_t *)&request)[take_byte(&world->input) % 64] = take_byte(&world->input);
    request.id = world->next_id++;
    world->asked[request.id % (sizeof world->asked / sizeof world->asked[0])] = request;
    (void)rig_submit(world->rig, tenant, &request);
}

static void change_region(struct world *world) {
    uint8_t tenant = take_byte(&world->input) & 1;
    uint32_t offset = take_short(&world->input) % REGION;
    uint32_t length = take_byte(&world->input) * 16u;
    uint8_t byte = take_byte(&world->input);
    for (uint32_t i = offset; i < REGION && i < offset + length; i++)
        world->rig->tenants[tenant].region[i] = own_byte(tenant, byte);
}

static void command(struct world *world) {
    switch (take_byte(&world->input) % 16) {
    case 0:
        submit(world, true);
        break;
    case 1:
        change_region(world);
        break;
    case 2:
        world->scribbles = take_byte(&world->input);
        break;
    case 3:
        world->rig->options.fail_operation = world->rig->operations + 1 + take_byte(&world->input) % 16;
        break;
    case 4:
        cut_power(world);
        break;
    case 5:
        reopen(world);
        break;
    case 6:
        rig_run(world->rig);
        break;
    case 7:
        for (unsigned i = take_byte(&world->input) % 16; i > 0; i--) (void)rig_step(world->rig);
        break;
    default:
        submit(world, false);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    world->input = (struct input){bytes, length};
    world->disk = disk_make(DISK);
    open_world(world, 0);
    for (unsigned i = 0; i < MAX_COMMANDS && world->input.left > 0; i++) command(world);
    rig_run(world->rig);
    close_world(world);
    disk_flush(world->disk);
    open_world(world, 0);
    rig_run(world->rig);
    if (psdb_state(world->rig->store) != PSDB_READY)
        FAIL("does not open at the end: %s", world->rig->reports);
    check_world(world);
    close_world(world);
    for (size_t i = 0; i < world->sealed_count; i++) free(world->sealed[i].bytes);
    disk_free(world->disk);
    free(world);
    return 0;
}
