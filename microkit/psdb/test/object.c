#include "object.h"

#include "archive.h"
#include "check.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes groups of three digits, with an x before all but the last: `x001/x234/067`. */
static void put_index(char *out, size_t room, uint64_t index) {
    char head[60] = "";
    if (index >= 1000) {
        uint64_t groups[8];
        int count = 0;
        for (uint64_t rest = index / 1000; rest > 0; rest /= 1000) groups[count++] = rest % 1000;
        while (count > 0) {
            size_t used = strlen(head);
            (void)snprintf(head + used, sizeof head - used, "x%03u/", (unsigned)groups[--count]);
        }
    }
    (void)snprintf(out, room, "%s%03u", head, (unsigned)(index % 1000));
}

const char *object_path(const char *tenant, const struct object *object) {
    static char path[300];
    char index[64];
    const char *audit = object->ledger == PSDB_AUDIT ? "audit/" : "";
    put_index(index, sizeof index, object->index);
    size_t used = (size_t)snprintf(path, sizeof path, "%s/%s", tenant, audit);
    char *rest = path + used;
    size_t room = sizeof path - used;
    switch (object->kind) {
    case PSDB_README:
        (void)snprintf(rest, room, "%s", object->index == 0 ? "README.txt" : "verify.sh");
        break;
    case PSDB_ORIGIN:
        (void)snprintf(rest, room, "origin");
        break;
    case PSDB_VKEY:
        (void)snprintf(rest, room, "keys/%s.vkey", object->name);
        break;
    case PSDB_TILE:
        (void)snprintf(rest, room, "tile/%u/%s.b64", object->level, index);
        break;
    case PSDB_BUNDLE:
        (void)snprintf(rest, room, "tile/entries/%s.b64", index);
        break;
    case PSDB_TAIL_FILE:
        (void)snprintf(rest, room, "tail/%012llu", (unsigned long long)object->index);
        break;
    default:
        (void)snprintf(rest, room, "checkpoint");
        break;
    }
    return path;
}

static uint32_t new_id(void) {
    static uint32_t id = 0x1000;
    return id++;
}

static void put_object(struct psdb_request *request, const struct object *object) {
    request->ledger = object->ledger;
    request->kind = object->kind;
    request->level = object->level;
    request->index = object->index;
    if (object->name != NULL) memcpy(request->name, object->name, strlen(object->name));
}

struct psdb_request read_request(struct object object, uint64_t at, uint32_t offset, uint32_t length) {
    struct psdb_request request = {
        .id = new_id(), .opcode = PSDB_READ, .at = at, .offset = offset, .length = length};
    put_object(&request, &object);
    return request;
}

struct psdb_request seal_request(struct object object, uint32_t offset, uint32_t length) {
    struct psdb_request request = {
        .id = new_id(), .opcode = PSDB_SEAL, .time = NOW, .offset = offset, .length = length};
    put_object(&request, &object);
    return request;
}

struct psdb_request commit_request(uint8_t ledger, uint64_t start, uint64_t size, uint32_t offset,
                                   uint32_t length) {
    return (struct psdb_request){.id = new_id(),
                                 .opcode = PSDB_COMMIT,
                                 .ledger = ledger,
                                 .index = start,
                                 .size = size,
                                 .time = NOW,
                                 .offset = offset,
                                 .length = length};
}

struct psdb_request publish_request(uint8_t ledger, uint32_t offset, uint32_t length) {
    return (struct psdb_request){.id = new_id(),
                                 .opcode = PSDB_PUBLISH,
                                 .ledger = ledger,
                                 .time = NOW,
                                 .offset = offset,
                                 .length = length};
}

struct psdb_request tail_request(uint8_t ledger, uint64_t index, uint32_t offset, uint32_t length) {
    return (struct psdb_request){.id = new_id(),
                                 .opcode = PSDB_TAIL,
                                 .ledger = ledger,
                                 .index = index,
                                 .offset = offset,
                                 .length = length};
}

struct psdb_request stat_request(uint8_t ledger) {
    return (struct psdb_request){.id = new_id(), .opcode = PSDB_STAT, .ledger = ledger};
}

static enum psdb_status ask_with(struct rig *rig, uint32_t tenant, struct psdb_request request,
                                 uint64_t seed) {
    CHECK(request.length <= rig->tenants[tenant].region_bytes);
    random_bytes(seed, rig->tenants[tenant].region, request.length);
    return rig_ask(rig, tenant, &request).status;
}

enum psdb_status seal(struct rig *rig, uint32_t tenant, struct object object, uint64_t seed,
                      uint32_t length) {
    return ask_with(rig, tenant, seal_request(object, 0, length), seed);
}

enum psdb_status commit(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t start, uint64_t size,
                        uint64_t seed, uint32_t length) {
    return ask_with(rig, tenant, commit_request(ledger, start, size, 0, length), seed);
}

enum psdb_status publish(struct rig *rig, uint32_t tenant, uint8_t ledger, uint64_t seed, uint32_t length) {
    return ask_with(rig, tenant, publish_request(ledger, 0, length), seed);
}

struct psdb_response ask_stat(struct rig *rig, uint32_t tenant, uint8_t ledger) {
    struct psdb_request request = stat_request(ledger);
    return rig_ask(rig, tenant, &request);
}

static bool is_all(const uint8_t *bytes, size_t length, uint8_t value) {
    return length == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Checks that a READ changes no other bytes of the region. */
static void check_rest(const struct psdb_tenant *tenant, const struct psdb_request *request,
                       uint32_t length) {
    uint32_t end = request->offset + length;
    CHECK(is_all(tenant->region, request->offset, 0x5a));
    CHECK(is_all(tenant->region + end, tenant->region_bytes - end, 0x5a));
}

enum psdb_status read_whole(struct rig *rig, uint32_t tenant, struct object object, uint8_t **bytes,
                            uint64_t *length) {
    const struct psdb_tenant *place = &rig->tenants[tenant];
    *bytes = NULL;
    for (uint64_t at = 0;;) {
        struct psdb_request request = read_request(object, at, 24, place->region_bytes - 56);
        memset(place->region, 0x5a, place->region_bytes);
        struct psdb_response response = rig_ask(rig, tenant, &request);
        check_rest(place, &request, response.status == PSDB_OK ? response.length : 0);
        if (response.status != PSDB_OK) {
            free(*bytes);
            *bytes = NULL;
            return response.status;
        }
        *length = response.value;
        if (*bytes == NULL) *bytes = malloc(*length + 1);
        CHECK(*bytes != NULL);
        CHECK(response.length <= request.length && response.length <= *length - at);
        CHECK(response.length == request.length || at + response.length == *length);
        memcpy(*bytes + at, place->region + request.offset, response.length);
        at += response.length;
        if (at == *length) return PSDB_OK;
    }
}

void check_object(struct rig *rig, uint32_t tenant, struct object object, uint64_t seed, uint64_t length) {
    uint8_t *actual = NULL;
    uint64_t actual_length = 0;
    enum psdb_status status = read_whole(rig, tenant, object, &actual, &actual_length);
    const char *path = object_path(rig->tenants[tenant].name, &object);
    if (status != PSDB_OK) FAIL("%s: status %d; %s", path, (int)status, rig->reports);
    if (actual_length != length) {
        FAIL("%s: %llu bytes, expected %llu", path, (unsigned long long)actual_length,
             (unsigned long long)length);
    }
    uint8_t *expected = malloc(length + 1);
    CHECK(expected != NULL);
    random_bytes(seed, expected, length);
    if (memcmp(actual, expected, length) != 0) FAIL("%s: other bytes", path);
    free(expected);
    free(actual);
}

void check_none(struct rig *rig, uint32_t tenant, struct object object) {
    uint8_t *bytes = NULL;
    uint64_t length = 0;
    enum psdb_status status = read_whole(rig, tenant, object, &bytes, &length);
    if (status != PSDB_NONE) {
        free(bytes);
        FAIL("%s: status %d, expected none", object_path(rig->tenants[tenant].name, &object), (int)status);
    }
}

void check_tail(struct rig *rig, uint32_t tenant, uint8_t ledger, const uint64_t *starts, uint64_t count) {
    uint8_t *region = rig->tenants[tenant].region;
    struct psdb_request request = tail_request(ledger, 0, 0, rig->tenants[tenant].region_bytes & ~7u);
    struct psdb_response response = rig_ask(rig, tenant, &request);
    CHECK_SAME(response.status, PSDB_OK);
    CHECK_SAME(response.value, count);
    CHECK_SAME(response.length, 8 * count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = 0;
        for (unsigned k = 0; k < 8; k++) start |= (uint64_t)region[8 * i + k] << (8 * k);
        CHECK_SAME(start, starts[i]);
    }
}

size_t check_archive(const struct disk *disk, const char *name) {
    size_t count = 0;
    struct archive archive = archive_read(disk->bytes, disk->sectors, 0);
    archive_check_groups(&archive, disk->bytes);
    if (archive.error[0] != '\0') FAIL("the archive: %s", archive.error);
    for (size_t i = 0; name != NULL && i < archive.count; i++)
        if (strcmp(archive.members[i].name, name) == 0) count++;
    archive_free(&archive);
    return count;
}
