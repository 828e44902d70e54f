/* The input becomes the contents of a disk: members of any program, groups, the store's own writes, and
 * changes to all of them. Opening must write nothing. A disk that opens is read and written to, and must open
 * again with everything that was acknowledged. */
#include "../test/disk.h"
#include "../test/archive.h"
#include "../test/check.h"
#include "../test/foreign.h"
#include "../test/object.h"
#include "../test/random.h"
#include "input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK 600u
#define MAX_COMMANDS 100u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
/* The name is AddressSanitizer's. NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
const char *__asan_default_options(void);

/* Keep the quarantine of freed memory small: each input frees much. */
const char *__asan_default_options(void) {
    return "quarantine_size_mb=4";
}

struct made {
    struct input input;
    struct foreign foreign;
    bool in_group;
};

static bool room(const struct made *made, uint64_t sectors) {
    return made->foreign.at + sectors < DISK;
}

static const char *take_name(struct input *input, char *own) {
    static const char *const names[] = {"acme/",
                                        "acme/README.txt",
                                        "acme/origin",
                                        "./acme/keys/ed25519.vkey",
                                        "acme/tile/0/000.b64",
                                        "acme/tile/entries/000.b64",
                                        "acme/tile/entries/001.b64",
                                        "acme/tail/000000000000",
                                        "acme/tail/000000000256",
                                        "acme/tail/000000000300",
                                        "acme/checkpoint",
                                        "acme/audit/checkpoint",
                                        "acme/audit/tail/000000000000",
                                        "other/origin",
                                        "other/tmp/1",
                                        "acme/lock",
                                        "someone/else",
                                        ".psdb/pad",
                                        ".psdb/index",
                                        ".psdb/commit",
                                        "././@LongLink"};
    uint8_t choice = take_byte(input);
    if (choice < 200) return names[choice % (sizeof names / sizeof names[0])];
    size_t length = choice % 100;
    take_bytes(input, own, length);
    own[length] = '\0';
    return own;
}

static void put_member(struct made *made) {
    static const char types[] = "0000057123456xgLKSVM\001\377";
    char own[101];
    uint8_t flags;
    struct entry entry = {.name = take_name(&made->input, own)};
    flags = take_byte(&made->input);
    entry.type = types[flags % (sizeof types - 1)];
    entry.gnu = flags >= 200;
    entry.no_data = take_byte(&made->input) % 16 == 0;
    entry.size = take_byte(&made->input) * 9u;
    entry.seed = take_byte(&made->input) % 4u;
    entry.link = flags % 3 == 0 ? "acme/origin" : NULL;
    if (entry.type == '5') entry.size = 0;
    if (room(made, 2 + sectors_of(entry.size))) (void)put_entry(&made->foreign, &entry);
}

/* Puts a member whose data is text of the input: pax records, or a long name. */
static void put_text(struct made *made) {
    static const char *const starts[] = {"30 mtime=1700000000.123456789\n",
                                         "20 path=acme/origin\n",
                                         "12 size=100\n",
                                         "22 GNU.sparse.major=1\n",
                                         "acme/README.txt",
                                         "./someone/else",
                                         ""};
    static const char types[] = "xgLK0";
    char text[200];
    struct entry entry = {.name = "PaxHeaders/x", .bytes = text};
    entry.type = types[take_byte(&made->input) % 5];
    size_t used = (size_t)snprintf(text, 100, "%s", starts[take_byte(&made->input) % 7]);
    size_t more = take_byte(&made->input) % 99u;
    take_bytes(&made->input, text + used, more);
    text[used + more] = '\0';
    if (room(made, 3)) (void)put_entry(&made->foreign, &entry);
}

static void group(struct made *made) {
    if (made->in_group) {
        end_group(&made->foreign);
    } else {
        if (!room(made, 4)) return;
        begin_group(&made->foreign);
    }
    made->in_group = !made->in_group;
}

static void put_raw(struct made *made) {
    size_t length = take_short(&made->input) % 1200;
    if (!room(made, 4)) return;
    take_bytes(&made->input, disk_at(made->foreign.disk, made->foreign.at), length);
    made->foreign.at += sectors_of(length);
}

/* Changes a byte, and may correct the header's checksum. */
static void change(struct made *made) {
    uint64_t sector = take_short(&made->input) % (made->foreign.at + 1);
    uint32_t offset = take_short(&made->input) % SECTOR;
    uint8_t *header = disk_at(made->foreign.disk, sector);
    header[offset] ^= take_byte(&made->input);
    if (take_byte(&made->input) & 1) put_sum(header);
}

/* Corrects the digest of a group with any members. */
static void put_hash_right(struct made *made) {
    uint64_t sector = take_short(&made->input) % DISK;
    struct foreign group = {.disk = made->foreign.disk, .commit = sector};
    while (sector + 3 < DISK && memcmp(disk_at(group.disk, sector), COMMIT_NAME, sizeof COMMIT_NAME) != 0)
        sector++;
    if (sector + 3 >= DISK) return;
    const char *count = (const char *)disk_at(group.disk, sector) + 157 + 65;
    group.commit = sector;
    group.at = sector + 2 + strtoull(count, NULL, 10);
    if (group.at <= DISK) end_group(&group);
}

static void set_options(struct rig_options *options, uint8_t choice) {
    static const char *const names[] = {"acme", "other", "acme", "third"};
    options->region_bytes = 24 * 1024;
    options->slots = choice & 1 ? 16 : 64;
    options->tails = choice & 2 ? 2 : 8;
    options->names[0] = names[choice / 4 % 4];
    if (choice & 64) options->names[1] = names[(choice / 4 + 1) % 4];
}

static struct rig *open_it(struct disk *disk, struct rig_options *options) {
    static uint8_t before[DISK * SECTOR];
    memcpy(before, disk->bytes, sizeof before);
    options->foreign_end = DISK;
    struct rig *rig = rig_open(disk, options);
    CHECK(rig != NULL);
    CHECK_SAME(rig->sectors_written, 0);
    CHECK(memcmp(before, disk->bytes, sizeof before) == 0);
    CHECK(psdb_state(rig->store) == PSDB_READY || psdb_state(rig->store) == PSDB_STOPPED);
    /* Opening reads everything once or twice. */
    if (rig->sectors_read > 40 * DISK) FAIL("%llu sectors read", (unsigned long long)rig->sectors_read);
    if (psdb_state(rig->store) == PSDB_STOPPED) return rig;
    rig->sealed_end = DISK - 2 - ask_stat(rig, 0, 0).extra;
    return rig;
}

static const struct object objects[] = {
    {0, PSDB_README, 0, 0, NULL},      {0, PSDB_ORIGIN, 0, 0, NULL},     {0, PSDB_VKEY, 0, 0, "ed25519"},
    {0, PSDB_TILE, 0, 0, NULL},        {0, PSDB_BUNDLE, 0, 0, NULL},     {0, PSDB_BUNDLE, 0, 1, NULL},
    {0, PSDB_BUNDLE, 0, 2, NULL},      {0, PSDB_TAIL_FILE, 0, 0, NULL},  {0, PSDB_TAIL_FILE, 0, 256, NULL},
    {0, PSDB_TAIL_FILE, 0, 300, NULL}, {0, PSDB_CHECKPOINT, 0, 0, NULL}, {1, PSDB_CHECKPOINT, 0, 0, NULL},
    {1, PSDB_TAIL_FILE, 0, 0, NULL},   {1, PSDB_ORIGIN, 0, 0, NULL},
};
#define OBJECTS (sizeof objects / sizeof objects[0])

static void read_all(struct rig *rig) {
    for (uint32_t tenant = 0; tenant < rig->config.tenant_count; tenant++) {
        struct psdb_request tail = tail_request((uint8_t)(tenant & 1), 0, 0, 4096);
        (void)rig_ask(rig, tenant, &tail);
        for (size_t i = 0; i < OBJECTS; i++) {
            uint8_t *bytes = NULL;
            uint64_t length = 0;
            enum psdb_status status = read_whole(rig, tenant, objects[i], &bytes, &length);
            CHECK(status == PSDB_OK || status == PSDB_NONE || status == PSDB_CORRUPT);
            free(bytes);
        }
    }
}

/* Writes a few objects. Returns a set of those that were acknowledged. */
static uint32_t write_some(struct rig *rig, uint8_t round) {
    uint32_t acknowledged = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        struct object object = objects[i];
        enum psdb_status status;
        uint32_t length = 30u + 100u * (uint32_t)i;
        object.index += object.kind == PSDB_BUNDLE || object.kind == PSDB_TAIL_FILE ? round * 3u : 0;
        if (object.kind == PSDB_CHECKPOINT) {
            status = publish(rig, 0, object.ledger, i, length);
        } else if (object.kind == PSDB_TAIL_FILE) {
            status = commit(rig, 0, object.ledger, object.index, object.index + 1, i, length);
        } else {
            status = seal(rig, 0, object, i, length);
        }
        CHECK(status != PSDB_IO && status != PSDB_INVALID && status != PSDB_NONE);
        if (status == PSDB_OK) acknowledged |= 1u << i;
    }
    return acknowledged;
}

static void check_written(struct rig *rig, uint32_t acknowledged, uint8_t round) {
    for (size_t i = 0; i < OBJECTS; i++) {
        struct object object = objects[i];
        if (!(acknowledged >> i & 1) || object.kind == PSDB_TAIL_FILE) continue;
        object.index += object.kind == PSDB_BUNDLE ? round * 3u : 0;
        check_object(rig, 0, object, i, 30u + 100u * i);
    }
}

/* Opens the disk with the store, and writes to it. */
static void let_it_write(struct made *made) {
    struct rig_options options = {0};
    uint8_t choice = take_byte(&made->input);
    uint8_t rounds = take_byte(&made->input) % 8;
    if (made->in_group) group(made);
    set_options(&options, choice);
    struct rig *rig = open_it(made->foreign.disk, &options);
    for (uint8_t i = 0; psdb_state(rig->store) == PSDB_READY && i < rounds; i++) (void)write_some(rig, i);
    if (psdb_state(rig->store) == PSDB_READY && rig->sealed_end + 3 < DISK)
        made->foreign.at = rig->sealed_end;
    rig_close(rig);
    disk_flush(made->foreign.disk);
}

static void command(struct made *made) {
    switch (take_byte(&made->input) % 8) {
    case 0:
        put_text(made);
        break;
    case 1:
        group(made);
        break;
    case 2:
        put_raw(made);
        break;
    case 3:
        change(made);
        break;
    case 4:
        put_hash_right(made);
        break;
    case 5:
        let_it_write(made);
        break;
    case 6:
        if (room(made, 10)) made->foreign.at += take_byte(&made->input) % 4;
        break;
    default:
        put_member(made);
        break;
    }
}

/* Opens the disk, reads it, writes to it, and opens it again. */
static void use(struct disk *disk, uint8_t choice) {
    struct rig_options options = {0};
    set_options(&options, choice);
    struct rig *rig = open_it(disk, &options);
    read_all(rig);
    uint32_t acknowledged = 0;
    if (psdb_state(rig->store) == PSDB_READY) {
        acknowledged = write_some(rig, 2);
        check_written(rig, acknowledged, 2);
    } else {
        CHECK(rig->reports[0] != '\0');
        CHECK_SAME(seal(rig, 0, README(0), 1, 10), PSDB_CORRUPT);
    }
    rig_close(rig);
    if (acknowledged == 0) return;
    rig = open_it(disk, &options);
    if (psdb_state(rig->store) != PSDB_READY) FAIL("does not open again: %s", rig->reports);
    check_written(rig, acknowledged, 2);
    rig_close(rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct made made = {.input = {bytes, length}};
    made.foreign.disk = disk_make(DISK);
    uint8_t choice = take_byte(&made.input);
    for (unsigned i = 0; i < MAX_COMMANDS && made.input.left > 0; i++) command(&made);
    if (made.in_group) group(&made);
    use(made.foreign.disk, choice);
    disk_free(made.foreign.disk);
    return 0;
}
