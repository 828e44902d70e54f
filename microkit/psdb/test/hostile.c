/* A hostile tenant: malformed requests, and changes to a request while the store handles it. */
#include "archive.h"
#include "check.h"
#include "object.h"
#include "random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DISK 8192u
#define REGION (256u * 1024u)
#define FIELD(f) (1ull << offsetof(struct psdb_request, f))

/* Returns the fields of a request that are out of range: one bit for each, at the field's offset. */
struct faults {
    uint64_t must; /* INVALID in any case */
    uint64_t may;  /* not said */
};

static bool name_is_zero(const struct psdb_request *r) {
    for (size_t i = 0; i < PSDB_NAME_BYTES; i++)
        if (r->name[i] != 0) return false;
    return true;
}

static bool name_is_key(const struct psdb_request *r) {
    size_t length = 0;
    while (length < PSDB_NAME_BYTES && r->name[length] != 0 &&
           strchr("abcdefghijklmnopqrstuvwxyz0123456789-", r->name[length]) != NULL)
        length++;
    for (size_t i = length; i < PSDB_NAME_BYTES; i++)
        if (r->name[i] != 0) return false;
    return length > 0;
}

static uint64_t object_faults(const struct psdb_request *r, unsigned last_kind) {
    uint64_t faults = 0;
    uint64_t limit = 1;
    if (r->kind < PSDB_README || r->kind > last_kind) return FIELD(kind);
    if (r->kind == PSDB_TILE) {
        if (r->level > 6) return FIELD(level);
        limit = PSDB_MAX_SIZE >> (8 * (r->level + 1));
    } else if (r->level != 0) {
        faults |= FIELD(level);
    }
    if (r->kind == PSDB_README) limit = 2;
    if (r->kind == PSDB_BUNDLE) limit = PSDB_MAX_SIZE >> 8;
    if (r->kind == PSDB_TAIL_FILE) limit = PSDB_MAX_SIZE;
    if (r->index >= limit) faults |= FIELD(index);
    if (r->kind == PSDB_VKEY ? !name_is_key(r) : !name_is_zero(r)) faults |= FIELD(name);
    return faults;
}

static uint64_t place_faults(const struct psdb_request *r) {
    if (r->offset > REGION) return FIELD(offset) | FIELD(length);
    return r->length > REGION - r->offset ? FIELD(offset) | FIELD(length) : 0;
}

static struct faults faults_of(const struct psdb_request *r) {
    struct faults faults = {0};
    bool object = r->opcode == PSDB_READ || r->opcode == PSDB_SEAL;
    bool writes = r->opcode == PSDB_SEAL || r->opcode == PSDB_COMMIT || r->opcode == PSDB_PUBLISH;
    if (r->opcode < PSDB_READ || r->opcode > PSDB_STAT) return (struct faults){FIELD(opcode), ~0ull};
    if (r->ledger > PSDB_AUDIT) faults.must |= FIELD(ledger);
    if (object) faults.must |= object_faults(r, r->opcode == PSDB_READ ? PSDB_CHECKPOINT : PSDB_BUNDLE);
    if (!object && r->kind != 0) faults.must |= FIELD(kind);
    if (!object && r->level != 0) faults.must |= FIELD(level);
    if (!object && !name_is_zero(r)) faults.must |= FIELD(name);
    if (r->opcode == PSDB_COMMIT) {
        if (r->index >= PSDB_MAX_SIZE) faults.must |= FIELD(index);
        if (r->size <= r->index || r->size > PSDB_MAX_SIZE) faults.must |= FIELD(size);
    } else if (r->size != 0) {
        faults.must |= FIELD(size);
    }
    if ((r->opcode == PSDB_PUBLISH || r->opcode == PSDB_STAT) && r->index != 0) faults.must |= FIELD(index);
    if (r->opcode == PSDB_TAIL && r->index >= PSDB_MAX_SIZE) faults.may |= FIELD(index);
    if (r->opcode != PSDB_READ && r->at != 0) faults.must |= FIELD(at);
    if (r->opcode == PSDB_READ) faults.may |= FIELD(at);
    if (writes ? r->time > PSDB_MAX_TIME : r->time != 0) faults.must |= FIELD(time);
    if (writes && r->length == 0) faults.must |= FIELD(length);
    if (r->opcode == PSDB_STAT) {
        if (r->offset != 0 || r->length != 0) faults.may |= FIELD(offset) | FIELD(length);
    } else {
        faults.must |= place_faults(r);
    }
    if (r->opcode == PSDB_TAIL && r->length % 8 != 0) faults.may |= FIELD(length);
    if (r->opcode == PSDB_SEAL && r->kind == PSDB_TILE && r->length > 11520) faults.may |= FIELD(length);
    return faults;
}

/* Checks that the store answers INVALID if the request is invalid, and only then. */
static void check_verdict(const struct psdb_request *r, const struct psdb_response *response) {
    struct faults faults = faults_of(r);
    note("opcode %u ledger %u kind %u level %u index %llu size %llu at %llu time %llu offset %u length %u "
         "name %.16s; "
         "faults %llx, may be %llx; status %u field %u",
         r->opcode, r->ledger, r->kind, r->level, (unsigned long long)r->index, (unsigned long long)r->size,
         (unsigned long long)r->at, (unsigned long long)r->time, r->offset, r->length, (const char *)r->name,
         (unsigned long long)faults.must, (unsigned long long)faults.may, response->status, response->field);
    if (faults.must != 0) CHECK_SAME(response->status, PSDB_INVALID);
    if (response->status != PSDB_INVALID) return;
    CHECK(response->field < PSDB_MESSAGE_BYTES);
    CHECK(((faults.must | faults.may) >> response->field & 1) != 0);
    CHECK_SAME(response->length, 0);
}

/* The contents of the other tenant's objects, which occur nowhere else. */
static const char secret[] = "This is for no other tenant's eyes. ";

static struct rig *open_with_secrets(void) {
    struct rig_options options = {.region_bytes = REGION, .slots = 1u << 16, .tails = 4096};
    struct rig *rig = rig_open(disk_make(DISK), &options);
    CHECK(rig != NULL);
    uint8_t *region = rig->tenants[1].region;
    for (size_t i = 0; i < 40000; i++) region[i] = (uint8_t)secret[i % (sizeof secret - 1)];
    struct psdb_request requests[] = {
        seal_request(README(0), 0, 2000),     seal_request(BUNDLE(0, 0), 0, 40000),
        seal_request(TILE(0, 0, 0), 0, 2000), seal_request(VKEY(0, "ed25519"), 0, 200),
        seal_request(ORIGIN(1), 0, 2000),     publish_request(0, 0, 2000),
        publish_request(1, 0, 2000),          commit_request(0, 0, 1, 0, 2000),
        commit_request(1, 0, 301, 0, 2000),   seal_request(VKEY(1, "abcdefghijklmnop"), 0, 200),
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        CHECK_SAME(rig_ask(rig, 1, &requests[i]).status, PSDB_OK);
    memset(region, 0, REGION);
    return rig;
}

static void check_no_secret(const struct rig *rig) {
    if (memmem(rig->tenants[0].region, REGION, "no other tenant", 15) != NULL)
        FAIL("the other tenant's bytes");
}

static void check_secrets(struct rig *rig) {
    const struct object objects[] = {README(0),          BUNDLE(0, 0),    TILE(0, 0, 0),
                                     VKEY(0, "ed25519"), ORIGIN(1),       CHECKPOINT(0),
                                     CHECKPOINT(1),      TAIL_FILE(0, 0), TAIL_FILE(1, 0)};
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        uint8_t *bytes = NULL;
        uint64_t length = 0;
        CHECK_SAME(read_whole(rig, 1, objects[i], &bytes, &length), PSDB_OK);
        for (uint64_t k = 0; k < length; k++) CHECK(bytes[k] == (uint8_t)secret[k % (sizeof secret - 1)]);
        free(bytes);
    }
    check_tail(rig, 1, 0, (const uint64_t[]){0}, 1);
    check_tail(rig, 1, 1, (const uint64_t[]){0}, 1);
}

static void end_with_secrets(struct rig *rig) {
    struct disk *disk = rig->disk;
    struct rig_options options = rig->options;
    CHECK_SAME(psdb_state(rig->store), PSDB_READY);
    check_secrets(rig);
    check_archive(disk, NULL);
    rig_close(rig);
    options.observe = NULL;
    options.answered = NULL;
    rig = rig_open(disk, &options);
    CHECK(rig != NULL);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open again: %s", rig->reports);
    check_secrets(rig);
    rig_close(rig);
    disk_free(disk);
}

static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 5,
                                 6,
                                 7,
                                 8,
                                 0x7f,
                                 0x80,
                                 0x81,
                                 0xff,
                                 256,
                                 511,
                                 512,
                                 513,
                                 999,
                                 1000,
                                 65535,
                                 65536,
                                 REGION - 1,
                                 REGION,
                                 REGION + 1,
                                 0x7fffffff,
                                 0x80000000,
                                 0xfffffe00,
                                 0xffffffff,
                                 0x100000000,
                                 PSDB_MAX_TIME,
                                 PSDB_MAX_TIME + 1,
                                 (PSDB_MAX_SIZE >> 48) - 1,
                                 PSDB_MAX_SIZE >> 48,
                                 (PSDB_MAX_SIZE >> 16) - 1,
                                 PSDB_MAX_SIZE >> 16,
                                 (PSDB_MAX_SIZE >> 8) - 1,
                                 PSDB_MAX_SIZE >> 8,
                                 PSDB_MAX_SIZE - 1,
                                 PSDB_MAX_SIZE,
                                 PSDB_MAX_SIZE + 1,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 0xffffffffffffff00,
                                 UINT64_MAX};
#define EDGES (sizeof edges / sizeof edges[0])

static const struct {
    size_t offset;
    size_t bytes;
} fields[] = {
#define ROW(f)                                                                                               \
    { offsetof(struct psdb_request, f), sizeof((struct psdb_request){0}).f }
    ROW(id),   ROW(opcode), ROW(ledger), ROW(kind),   ROW(level),  ROW(index),
    ROW(size), ROW(at),     ROW(time),   ROW(offset), ROW(length),
};
#define FIELDS (sizeof fields / sizeof fields[0])

static void put_field(struct psdb_request *request, size_t field, uint64_t value) {
    memcpy((uint8_t *)request + fields[field].offset, &value, fields[field].bytes);
}

static void ask_and_check(struct rig *rig, const struct psdb_request *request) {
    note("opcode %u kind %u", request->opcode, request->kind);
    struct psdb_response response = rig_ask(rig, 0, request);
    check_verdict(request, &response);
    check_no_secret(rig);
}

/* One valid request of each form. */
static const struct psdb_request shapes[] = {
    {.opcode = PSDB_READ, .kind = PSDB_README, .length = 4000},
    {.opcode = PSDB_READ, .kind = PSDB_VKEY, .length = 4000, .name = "ed25519"},
    {.opcode = PSDB_READ, .kind = PSDB_TILE, .length = 4000},
    {.opcode = PSDB_READ, .kind = PSDB_BUNDLE, .length = 4000},
    {.opcode = PSDB_READ, .kind = PSDB_TAIL_FILE, .length = 4000},
    {.opcode = PSDB_READ, .kind = PSDB_CHECKPOINT, .length = 4000},
    {.opcode = PSDB_SEAL, .kind = PSDB_ORIGIN, .time = 1, .length = 3},
    {.opcode = PSDB_SEAL, .kind = PSDB_VKEY, .time = 1, .length = 3, .name = "a"},
    {.opcode = PSDB_SEAL, .kind = PSDB_TILE, .time = 1, .length = 3},
    {.opcode = PSDB_SEAL, .kind = PSDB_BUNDLE, .time = 1, .length = 3},
    {.opcode = PSDB_COMMIT, .size = 1, .time = 1, .length = 3},
    {.opcode = PSDB_TAIL, .length = 800},
    {.opcode = PSDB_PUBLISH, .time = 1, .length = 3},
    {.opcode = PSDB_STAT},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

TEST(every_field_over_edge_values) {
    struct rig *rig = open_with_secrets();
    memset(rig->tenants[0].region, 1, REGION);
    for (size_t s = 0; s < SHAPES; s++) {
        ask_and_check(rig, &shapes[s]);
        for (size_t f = 0; f < FIELDS; f++) {
            for (size_t e = 0; e < EDGES; e++) {
                struct psdb_request request = shapes[s];
                put_field(&request, f, edges[e]);
                /* Large writes would fill the disk. */
                if (request.opcode != PSDB_READ && request.length > 70000 && request.length < REGION)
                    continue;
                ask_and_check(rig, &request);
            }
        }
    }
    end_with_secrets(rig);
}

TEST(every_byte_of_a_name) {
    struct rig *rig = open_with_secrets();
    memset(rig->tenants[0].region, 1, REGION);
    for (size_t s = 0; s < SHAPES; s++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            for (size_t place = 0; place < PSDB_NAME_BYTES; place += 5) {
                struct psdb_request request = shapes[s];
                request.name[place] = (uint8_t)byte;
                if (request.kind == PSDB_VKEY && request.opcode == PSDB_SEAL && byte % 16 != 1) continue;
                ask_and_check(rig, &request);
            }
        }
    }
    static const char *const names[] = {
        "",     "..",  "../origin", "a/b", "a.vkey",         "A",          "a b",
        "a\0b", "a_b", "\xc3\xa4",  "a\n", "acme/checkpoin", "other/orig", "0123456789abcdef"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct psdb_request request = shapes[1];
        memset(request.name, 0, sizeof request.name);
        memcpy(request.name, names[i], i == 7 ? 3 : strlen(names[i]));
        ask_and_check(rig, &request);
    }
    end_with_secrets(rig);
}

/* Two or three fields at once, and random messages. */
TEST(random_messages) {
    struct rig *rig = open_with_secrets();
    uint64_t seed = setting("PSDB_TEST_SEED", 1);
    struct random random = {seed};
    memset(rig->tenants[0].region, 1, REGION);
    for (unsigned i = 0; i < 30000; i++) {
        struct psdb_request request = shapes[random_below(&random, SHAPES)];
        for (uint64_t k = random_below(&random, 4); k > 0; k--)
            put_field(&request, random_below(&random, FIELDS), edges[random_below(&random, EDGES)]);
        if (random_chance(&random, 5))
            random_bytes(random_next(&random), (uint8_t *)&request, sizeof request);
        if (request.length > 3000 && request.length < REGION && request.opcode != PSDB_READ)
            request.length %= 3000;
        ask_and_check(rig, &request);
    }
    end_with_secrets(rig);
}

TEST(every_object_of_another_tenant_is_none) {
    struct rig *rig = open_with_secrets();
    for (uint8_t ledger = 0; ledger < 2; ledger++) {
        const struct object objects[] = {
            README(ledger),          BUNDLE(ledger, 0),      TILE(ledger, 0, 0),
            ORIGIN(ledger),          CHECKPOINT(ledger),     TAIL_FILE(ledger, 0),
            VKEY(ledger, "ed25519"), TAIL_FILE(ledger, 300), VKEY(ledger, "abcdefghijklmnop")};
        for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) check_none(rig, 0, objects[i]);
        check_tail(rig, 0, ledger, NULL, 0);
        CHECK_SAME(ask_stat(rig, 0, ledger).index, 0);
    }
    end_with_secrets(rig);
}

TEST(a_message_again_with_the_same_id) {
    struct rig *rig = open_with_secrets();
    struct psdb_request write = seal_request(ORIGIN(0), 0, 100);
    struct psdb_request next = commit_request(0, 5, 6, 0, 100);
    next.id = write.id;
    for (int i = 0; i < 20; i++) CHECK(rig_submit(rig, 0, &write));
    for (int i = 0; i < 20; i++) CHECK(rig_submit(rig, 0, &next));
    uint64_t before = rig->answers;
    rig_run(rig);
    CHECK_SAME(rig->answers - before, 40);
    CHECK_SAME(check_archive(rig->disk, "acme/origin"), 1);
    CHECK_SAME(check_archive(rig->disk, "acme/tail/000000000005"), 1);
    end_with_secrets(rig);
}

TEST(a_message_that_is_overwritten_when_it_was_taken) {
    struct rig *rig = open_with_secrets();
    struct psdb_request good = seal_request(ORIGIN(0), 0, 1000);
    struct psdb_request memory = good;
    random_bytes(4, rig->tenants[0].region, 1000);
    rig->waiting[rig->waiting_count++] = (struct waiting){0, good};
    CHECK(psdb_submit(rig->store, 0, &memory));
    memset(&memory, 0xff, sizeof memory);
    rig_run(rig);
    CHECK_SAME(rig->last[0].status, PSDB_OK);
    check_object(rig, 0, ORIGIN(0), 4, 1000);
    end_with_secrets(rig);
}

/* Another processor that keeps writing to the message and to the region. */
struct attack {
    _Atomic bool stop;
    uint8_t *region;
    struct psdb_request *message;
};

static void *attack(void *context) {
    struct attack *attack = context;
    struct random random = {7};
    volatile uint32_t *length = &attack->message->length;
    volatile uint32_t *offset = &attack->message->offset;
    volatile uint8_t *kind = &attack->message->kind;
    while (!atomic_load(&attack->stop)) {
        uint64_t value = random_next(&random);
        *length = value & 1 ? 3000 : 0xffffff00u;
        *offset = value & 2 ? 0 : REGION - 10;
        *kind = value & 4 ? PSDB_BUNDLE : 0xff;
        ((volatile uint8_t *)attack->region)[value % 4000] = (uint8_t)(value >> 32);
    }
    return NULL;
}

/* The message changes while the store reads it, so the rig must not compare answers with the request. */
TEST(a_message_and_a_region_that_change_at_any_moment) {
    struct rig *rig = open_with_secrets();
    struct psdb_request message = seal_request(BUNDLE(0, 0), 0, 3000);
    struct attack shared = {.region = rig->tenants[0].region, .message = &message};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, attack, &shared) == 0);
    for (uint64_t i = 0; i < 3000; i++) {
        struct psdb_request copy;
        message.index = i % 500;
        memcpy(&copy, &message, sizeof copy);
        rig->waiting[rig->waiting_count++] = (struct waiting){0, copy};
        bool more = true;
        size_t waiting = rig->waiting_count;
        /* The rig matches answers by their offset, so allow both. */
        copy.offset = copy.offset == 0 ? REGION - 10 : 0;
        rig->waiting[rig->waiting_count++] = (struct waiting){0, copy};
        CHECK(psdb_submit(rig->store, 0, &message));
        while (more) more = rig_step(rig);
        CHECK_SAME(rig->waiting_count, waiting);
        rig->waiting_count = waiting - 1;
    }
    atomic_store(&shared.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    end_with_secrets(rig);
}

static void scribble(struct rig *rig, enum psdb_disk_op op) {
    struct random *random = rig->options.context;
    (void)op;
    if (random_chance(random, 30)) return;
    uint64_t from = random_below(random, 30000);
    random_bytes(random_next(random), rig->tenants[0].region + from, random_below(random, 30000));
}

/*
 * While the tenant changes its region, the sealed bytes must be bytes that were in the region, and must never
 * change. The other tenant's writes in the same group must succeed, and the disk must open again.
 */
TEST(a_region_that_changes_during_every_disk_operation) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rig *rig = open_with_secrets();
        struct random random = {seed};
        rig->options.observe = scribble;
        rig->options.context = &random;
        for (uint64_t i = 0; i < 12; i++) {
            for (uint64_t k = 0; k <= random_below(&random, 6); k++) {
                uint32_t offset = (uint32_t)random_below(&random, 20000);
                uint32_t length = 1 + (uint32_t)random_below(&random, 30000);
                uint64_t n = random_below(&random, 4);
                struct psdb_request requests[] = {seal_request(BUNDLE(0, n), offset, length),
                                                  publish_request(0, offset, length),
                                                  seal_request(README(0), offset, 1 + length % 100),
                                                  commit_request(0, i, i + 1, offset, length)};
                CHECK(rig_submit(rig, 0, &requests[random_below(&random, 4)]));
            }
            random_bytes(i, rig->tenants[1].region, 5000);
            struct psdb_request honest = seal_request(BUNDLE(1, i), 0, 5000);
            CHECK(rig_submit(rig, 1, &honest));
            note("seed %llu, round %llu", (unsigned long long)seed, (unsigned long long)i);
            rig_run(rig);
            CHECK_SAME(psdb_state(rig->store), PSDB_READY);
        }
        rig->options.observe = NULL;
        for (uint64_t i = 0; i < 12; i++) check_object(rig, 1, BUNDLE(1, i), i, 5000);
        end_with_secrets(rig);
    }
}

/* Seals objects whose bytes look like members, or like a complete group. */
TEST(bytes_that_pose_as_an_archive) {
    struct rig *rig = open_with_secrets();
    struct archive archive = archive_read(rig->disk->bytes, DISK, 0);
    uint64_t end = archive.end;
    archive_free(&archive);
    CHECK(end * SECTOR < REGION);
    memcpy(rig->tenants[0].region, rig->disk->bytes, end * SECTOR);
    struct psdb_request request = seal_request(BUNDLE(0, 7), 0, (uint32_t)(end * SECTOR));
    CHECK_SAME(rig_ask(rig, 0, &request).status, PSDB_OK);
    memset(rig->tenants[0].region, 0, REGION);
    struct psdb_request zeros = seal_request(BUNDLE(0, 8), 0, 5 * SECTOR);
    CHECK_SAME(rig_ask(rig, 0, &zeros).status, PSDB_OK);
    CHECK_SAME(check_archive(rig->disk, "other/origin"), 0);
    CHECK_SAME(check_archive(rig->disk, "other/audit/origin"), 1);
    end_with_secrets(rig);
}
