#include "history.h"

#include "archive.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The region has one large place, then small ones. Each request under way has its own place. */
#define LARGE (160u * 1024u)
#define SMALL (16u * 1024u)
#define PLACES (1u + (HISTORY_REGION - LARGE) / SMALL)
#define NO_WRITE SIZE_MAX

struct request_under_way {
    uint32_t tenant;
    uint32_t place;
    uint32_t id;
    uint8_t opcode;
    size_t write;         /* SEAL, COMMIT, PUBLISH: the index of the write in the model */
    struct object object; /* READ */
    size_t acked;         /* READ: a write of the object that was acknowledged before it, or NO_WRITE; of the
                             checkpoint, the newest such write */
};

/* The bytes of objects are never freed. */
static const uint8_t *keep(const uint8_t *bytes, uint32_t length) {
    static struct kept {
        struct kept *next;
        uint8_t bytes[];
    } * all;
    struct kept *kept = malloc(sizeof *kept + length);
    CHECK(kept != NULL);
    memcpy(kept->bytes, bytes, length);
    kept->next = all;
    all = kept;
    return kept->bytes;
}

struct model model_copy(const struct model *model) {
    struct model copy = *model;
    copy.writes = malloc((model->room + 1) * sizeof *copy.writes);
    CHECK(copy.writes != NULL);
    if (model->count > 0) memcpy(copy.writes, model->writes, model->count * sizeof *copy.writes);
    return copy;
}

void model_free(struct model *model) {
    free(model->writes);
    *model = (struct model){0};
}

static size_t model_add(struct model *model, const struct write *write) {
    if (model->count == model->room) {
        model->room = model->room * 2 + 64;
        model->writes = realloc(model->writes, model->room * sizeof *model->writes);
        CHECK(model->writes != NULL);
    }
    model->writes[model->count] = *write;
    return model->count++;
}

static bool same_object(const struct object *a, const struct object *b) {
    if (a->ledger != b->ledger || a->kind != b->kind || a->level != b->level || a->index != b->index)
        return false;
    return a->name == NULL ? b->name == NULL : b->name != NULL && strcmp(a->name, b->name) == 0;
}

static bool is_of(const struct write *write, uint32_t tenant, const struct object *object) {
    return write->tenant == tenant && same_object(&write->object, object);
}

static bool same_bytes(const struct write *a, const struct write *b) {
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* Reads an object from the store; `value` is its length. */
static enum psdb_status ask_bytes(struct rig *rig, uint32_t tenant, struct object object, uint8_t *bytes,
                                  uint32_t room, uint64_t *value) {
    uint32_t region = rig->tenants[tenant].region_bytes;
    for (uint32_t at = 0;;) {
        struct psdb_request request = read_request(object, at, 0, region);
        struct psdb_response response = rig_ask(rig, tenant, &request);
        if (response.status != PSDB_OK) return response.status;
        CHECK(response.value <= room && response.length <= response.value - at);
        memcpy(bytes + at, rig->tenants[tenant].region, response.length);
        at += response.length;
        *value = response.value;
        if (at == response.value) return PSDB_OK;
        CHECK(response.length == region);
    }
}

static _Noreturn void wrong(const struct rig *rig, uint32_t tenant, const struct object *object,
                            const char *what) {
    FAIL("%s: %s; reports: %s", object_path(rig->tenants[tenant].name, object), what, rig->reports);
}

/* Reports whether the write at `i` is the first one of its object. */
static bool is_first(const struct model *model, size_t i) {
    const struct write *write = &model->writes[i];
    for (size_t k = 0; k < i; k++)
        if (is_of(&model->writes[k], write->tenant, &write->object)) return false;
    return true;
}

/* Marks the write that was found as the only ACKED one of its object. */
static bool resolve(struct model *model, size_t first, const uint8_t *bytes, uint64_t length) {
    struct write *of = &model->writes[first];
    bool replaced = of->opcode == PSDB_PUBLISH;
    size_t found = NO_WRITE;
    size_t acked = NO_WRITE;
    for (size_t i = first; i < model->count; i++) {
        struct write *write = &model->writes[i];
        if (!is_of(write, of->tenant, &of->object)) continue;
        if (write->fate == ACKED) acked = i;
        if (write->fate != GONE && write->length == length && memcmp(write->bytes, bytes, length) == 0)
            found = i;
    }
    if (found == NO_WRITE) return false;
    if (acked != NO_WRITE &&
        (replaced ? found < acked : !same_bytes(&model->writes[acked], &model->writes[found])))
        return false;
    for (size_t i = first; i < model->count; i++) {
        if (is_of(&model->writes[i], of->tenant, &of->object))
            model->writes[i].fate = i == found ? ACKED : GONE;
    }
    return true;
}

/* Reads an object from the archive, not through the store. */
static enum psdb_status find_bytes(const struct archive *archive, const struct rig *rig, uint32_t tenant,
                                   struct object object, uint8_t *bytes, uint32_t room, uint64_t *value) {
    const struct member *member = archive_find(archive, object_path(rig->tenants[tenant].name, &object));
    if (member == NULL) return PSDB_NONE;
    /* The last group before a failure may be in the archive although the store does not list it. */
    if (psdb_state(rig->store) == PSDB_READ_ONLY && member->sector >= rig->sealed_end) return PSDB_NONE;
    CHECK(member->size <= room);
    memcpy(bytes, disk_at(rig->disk, member->sector) + SECTOR, (size_t)member->size);
    *value = member->size;
    return PSDB_OK;
}

/* Looks for a tail file in the archive, because the store forgets superseded ones. */
static void check_write(struct model *model, struct rig *rig, const struct archive *archive, size_t first) {
    static uint8_t bytes[LARGE];
    struct write of = model->writes[first];
    uint64_t length = 0;
    enum psdb_status status =
        of.opcode == PSDB_COMMIT
            ? find_bytes(archive, rig, of.tenant, of.object, bytes, sizeof bytes, &length)
            : ask_bytes(rig, of.tenant, of.object, bytes, sizeof bytes, &length);
    if (status == PSDB_OK) {
        if (!resolve(model, first, bytes, length)) wrong(rig, of.tenant, &of.object, "unexpected bytes");
        return;
    }
    if (status != PSDB_NONE) wrong(rig, of.tenant, &of.object, "cannot be read");
    for (size_t i = first; i < model->count; i++) {
        struct write *write = &model->writes[i];
        if (!is_of(write, of.tenant, &of.object)) continue;
        if (write->fate == ACKED) wrong(rig, of.tenant, &of.object, "was acknowledged but is missing");
        write->fate = GONE;
    }
}

/* Returns the newest ACKED write of the object. */
static size_t find_acked(const struct model *model, uint32_t tenant, const struct object *object) {
    for (size_t i = model->count; i > 0; i--)
        if (model->writes[i - 1].fate == ACKED && is_of(&model->writes[i - 1], tenant, object)) return i - 1;
    return NO_WRITE;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool has_bundle(const struct model *model, uint32_t tenant, uint8_t ledger, uint64_t index) {
    struct object bundle = BUNDLE(ledger, index);
    for (size_t i = 0; i < model->count; i++)
        if (model->writes[i].fate == ACKED && is_of(&model->writes[i], tenant, &bundle)) return true;
    return false;
}

static void check_live_tail(const struct model *model, struct rig *rig, uint32_t tenant,
                            struct object object) {
    static uint8_t bytes[LARGE];
    const struct write *write = &model->writes[find_acked(model, tenant, &object)];
    uint64_t length = 0;
    if (ask_bytes(rig, tenant, object, bytes, sizeof bytes, &length) != PSDB_OK || length != write->length ||
        memcmp(bytes, write->bytes, length) != 0)
        wrong(rig, tenant, &object, "is in the tail but cannot be read");
}

static void check_ledger_tail(const struct model *model, struct rig *rig, uint32_t tenant, uint8_t ledger) {
    uint64_t starts[2000] = {0};
    uint64_t count = 0;
    uint64_t bundles = 0;
    uint64_t first = 0;
    while (has_bundle(model, tenant, ledger, bundles)) bundles++;
    for (size_t i = 0; i < model->count; i++) {
        const struct write *write = &model->writes[i];
        if (write->tenant != tenant || write->object.ledger != ledger || write->opcode != PSDB_COMMIT)
            continue;
        if (write->fate == ACKED && count < 2000) starts[count++] = write->object.index;
    }
    qsort(starts, count, sizeof starts[0], by_number);
    for (uint64_t i = 0; i < count; i++)
        if (starts[i] <= 256 * bundles) first = i;
    CHECK_SAME(ask_stat(rig, tenant, ledger).index, bundles);
    if (count > 0 && starts[first] > 256 * bundles) {
        struct psdb_request request = tail_request(ledger, 0, 0, 0);
        CHECK_SAME(rig_ask(rig, tenant, &request).status, PSDB_CORRUPT);
        return;
    }
    check_tail(rig, tenant, ledger, starts + first, count - first);
    for (uint64_t i = first; i < count; i++)
        check_live_tail(model, rig, tenant, TAIL_FILE(ledger, starts[i]));
}

void model_check(struct model *model, struct rig *rig) {
    struct archive archive = archive_read(rig->disk->bytes, rig->disk->sectors, rig->options.foreign_end);
    CHECK(archive.error[0] == '\0');
    for (size_t i = 0; i < model->count; i++)
        if (is_first(model, i)) check_write(model, rig, &archive, i);
    archive_free(&archive);
    for (uint32_t tenant = 0; tenant < HISTORY_TENANTS; tenant++) {
        check_none(rig, tenant, VKEY(PSDB_MAIN, "forged"));
        for (uint8_t ledger = 0; ledger < 2; ledger++) check_ledger_tail(model, rig, tenant, ledger);
    }
}

/* Makes the bytes of an object. Some pose as members of an archive. */
static const uint8_t *make_bytes(struct random *random, uint32_t length) {
    static uint8_t forged[SECTOR];
    static uint8_t bytes[LARGE];
    if (forged[0] == 0) {
        unsigned sum = 0;
        memcpy(forged, "acme/keys/forged.vkey", 21);
        memcpy(forged + 100, "0000444\0000000000\0000000000\00000000001000\00014000000000\0        0", 57);
        memcpy(forged + 257, "ustar\00000", 8);
        memcpy(forged + 329, "0000000\0000000000", 16);
        for (size_t i = 0; i < SECTOR; i++) sum += forged[i];
        (void)snprintf((char *)forged + 148, 8, "%06o", sum);
    }
    uint64_t kind = random_below(random, 6);
    random_bytes(random_next(random), bytes, length);
    for (uint32_t i = 0; kind == 0 && i < length; i++) bytes[i] = forged[i % SECTOR];
    if (kind == 1) memset(bytes, 0, length);
    return keep(bytes, length);
}

static void answered(struct rig *rig, uint32_t tenant, const struct psdb_response *response);

struct rig_options history_options(void) {
    return (struct rig_options){
        .region_bytes = HISTORY_REGION, .slots = HISTORY_SLOTS, .tails = 1024, .answered = answered};
}

struct history *history_make(uint64_t seed, struct model model) {
    struct history *history = calloc(1, sizeof *history);
    CHECK(history != NULL);
    history->random.state = seed;
    history->model = model;
    history->next_id = 1;
    history->under_way = calloc((size_t)HISTORY_TENANTS * PSDB_QUEUE, sizeof *history->under_way);
    CHECK(history->under_way != NULL);
    for (size_t i = 0; i < model.count; i++) {
        const struct write *write = &model.writes[i];
        uint64_t next = write->object.index + 1;
        if (write->opcode == PSDB_COMMIT && history->next_start[write->tenant][write->object.ledger] < next)
            history->next_start[write->tenant][write->object.ledger] = next;
        if (write->object.kind == PSDB_BUNDLE &&
            history->next_bundle[write->tenant][write->object.ledger] < next)
            history->next_bundle[write->tenant][write->object.ledger] = next;
    }
    return history;
}

void history_free(struct history *history) {
    model_free(&history->model);
    free(history->under_way);
    free(history);
}

static uint32_t place_offset(uint32_t place) {
    return place == 0 ? 0 : LARGE + (place - 1) * SMALL;
}

/* Returns an unused place of the region, or PLACES. */
static uint32_t free_place(struct history *history, uint32_t tenant) {
    uint32_t begin = (uint32_t)random_below(&history->random, PLACES);
    for (uint32_t k = 0; k < PLACES; k++) {
        uint32_t place = (begin + k) % PLACES;
        bool used = false;
        for (size_t i = 0; i < history->under_way_count; i++)
            if (history->under_way[i].tenant == tenant && history->under_way[i].place == place) used = true;
        if (!used) return place;
    }
    return PLACES;
}

static uint32_t some_length(struct history *history, uint32_t place) {
    struct random *random = &history->random;
    switch (random_below(random, 8)) {
    case 0:
        return 1 + (uint32_t)random_below(random, place == 0 ? LARGE : SMALL);
    case 1:
        return (uint32_t)(1 + random_below(random, 8)) * SECTOR;
    default:
        return 1 + (uint32_t)random_below(random, 2500);
    }
}

static struct object next_bundle(struct history *history, uint32_t tenant, uint8_t ledger) {
    uint64_t *next = &history->next_bundle[tenant][ledger];
    if (random_chance(&history->random, 10))
        return BUNDLE(ledger, *next + 1 + random_below(&history->random, 3));
    return BUNDLE(ledger, (*next)++);
}

static struct object some_object(struct history *history, uint32_t tenant) {
    static const char *const names[] = {"ed25519", "audit-key", "a", "0123456789abcdef"};
    struct random *random = &history->random;
    uint8_t ledger = (uint8_t)random_below(random, 2);
    switch (random_below(random, 10)) {
    case 0:
        return README(ledger);
    case 1:
        return ORIGIN(ledger);
    case 2:
        return VKEY(ledger, names[random_below(random, 4)]);
    case 3:
    case 4:
        return TILE(ledger, (uint8_t)random_below(random, 3), random_below(random, 1500));
    default:
        return next_bundle(history, tenant, ledger);
    }
}

static struct write *some_write(struct history *history, uint32_t tenant, uint8_t opcode) {
    struct model *model = &history->model;
    if (model->count == 0) return NULL;
    for (int tries = 0; tries < 10; tries++) {
        struct write *write = &model->writes[random_below(&history->random, model->count)];
        if (write->tenant == tenant && (opcode == 0 || write->opcode == opcode)) return write;
    }
    return NULL;
}

/* Submits a new write, the same write again, or an invalid one. */
static struct write choose_write(struct history *history, uint32_t tenant, uint32_t place) {
    struct random *random = &history->random;
    uint64_t choice = random_below(random, 100);
    uint8_t ledger = (uint8_t)random_below(random, 2);
    uint32_t length = some_length(history, place);
    struct write write = {.tenant = tenant, .opcode = PSDB_SEAL};
    const struct write *before = choice < 16 ? some_write(history, tenant, PSDB_SEAL) : NULL;
    if (before != NULL) {
        write = *before;
        write.fate = UNSURE;
        if (choice < 10 && write.length <= (place == 0 ? LARGE : SMALL)) return write;
    } else if (choice < 50) {
        uint64_t *next = &history->next_start[tenant][ledger];
        write.opcode = PSDB_COMMIT;
        write.object = TAIL_FILE(ledger, *next);
        if (choice < 20 && *next > 0) {
            write.object.index = random_below(random, *next);
        } else {
            *next += 1 + random_below(random, 90);
        }
    } else if (choice < 62) {
        write.opcode = PSDB_PUBLISH;
        write.object = CHECKPOINT(ledger);
    } else {
        write.object = some_object(history, tenant);
    }
    write.bytes = make_bytes(random, length);
    write.length = length;
    return write;
}

static struct psdb_request request_of(const struct write *write, uint32_t offset) {
    uint64_t start = write->object.index;
    if (write->opcode == PSDB_COMMIT)
        return commit_request(write->object.ledger, start, start + 1, offset, write->length);
    if (write->opcode == PSDB_PUBLISH) return publish_request(write->object.ledger, offset, write->length);
    return seal_request(write->object, offset, write->length);
}

static void submit_some(struct history *history) {
    struct random *random = &history->random;
    uint32_t tenant = (uint32_t)random_below(random, HISTORY_TENANTS);
    uint32_t place = free_place(history, tenant);
    if (place == PLACES) return;
    struct request_under_way under_way = {
        .tenant = tenant, .place = place, .write = NO_WRITE, .acked = NO_WRITE};
    struct psdb_request request;
    const struct write *read = random_chance(random, 15) ? some_write(history, tenant, 0) : NULL;
    if (read != NULL) {
        under_way.object = read->object;
        under_way.acked = find_acked(&history->model, tenant, &read->object);
        request = read_request(read->object, 0, place_offset(place), place == 0 ? LARGE : SMALL);
    } else {
        struct write write = choose_write(history, tenant, place);
        memcpy(history->rig->tenants[tenant].region + place_offset(place), write.bytes, write.length);
        request = request_of(&write, place_offset(place));
        under_way.write = model_add(&history->model, &write);
    }
    request.id = (uint32_t)history->next_id++;
    under_way.id = request.id;
    under_way.opcode = request.opcode;
    size_t at = history->under_way_count++;
    history->under_way[at] = under_way;
    CHECK(rig_submit(history->rig, tenant, &request));
}

static void check_sealed(const struct history *history, size_t of) {
    const struct write *write = &history->model.writes[of];
    for (size_t i = 0; i < history->model.count; i++) {
        const struct write *other = &history->model.writes[i];
        if (i == of || other->fate != ACKED || other->tenant != write->tenant) continue;
        if (write->opcode == PSDB_COMMIT) {
            bool later = other->opcode == PSDB_COMMIT && other->object.ledger == write->object.ledger &&
                         other->object.index >= write->object.index;
            if (later && i < of)
                wrong(history->rig, write->tenant, &write->object, "a commit before the newest tail file");
        } else if (write->opcode == PSDB_SEAL && same_object(&other->object, &write->object)) {
            if (!same_bytes(other, write)) wrong(history->rig, write->tenant, &write->object, "sealed twice");
        }
    }
}

static void check_conflict(const struct history *history, size_t of) {
    const struct write *write = &history->model.writes[of];
    for (size_t i = 0; i < of; i++) {
        const struct write *other = &history->model.writes[i];
        if (other->fate == GONE || other->tenant != write->tenant) continue;
        if (write->opcode == PSDB_COMMIT && other->opcode == PSDB_COMMIT &&
            other->object.ledger == write->object.ledger && other->object.index >= write->object.index)
            return;
        if (write->opcode == PSDB_SEAL && same_object(&other->object, &write->object) &&
            !same_bytes(other, write))
            return;
    }
    wrong(history->rig, write->tenant, &write->object, "a conflict without an earlier write");
}

static void write_answered(struct history *history, const struct request_under_way *under_way,
                           uint8_t status) {
    struct write *write = &history->model.writes[under_way->write];
    if (status == PSDB_OK) {
        check_sealed(history, under_way->write);
        write->fate = ACKED;
    } else if (status == PSDB_CONFLICT) {
        check_conflict(history, under_way->write);
        write->fate = GONE;
    } else if (status == PSDB_FULL && history->may_be_full) {
        write->fate = GONE;
    } else if (status != PSDB_IO || !history->may_fail) {
        FAIL("%s: status %u", object_path(history->rig->tenants[write->tenant].name, &write->object), status);
    }
}

/* Checks that the bytes read were written, and records them as durable. */
static void read_answered(struct history *history, const struct request_under_way *under_way,
                          const struct psdb_response *response) {
    const uint8_t *bytes = history->rig->tenants[under_way->tenant].region + response->offset;
    struct model *model = &history->model;
    const struct object *object = &under_way->object;
    if (response->status == PSDB_NONE) {
        bool forgotten =
            object->kind == PSDB_TAIL_FILE && history->next_bundle[under_way->tenant][object->ledger] > 0;
        if (under_way->acked != NO_WRITE && !forgotten)
            wrong(history->rig, under_way->tenant, object, "NONE, but it was acknowledged");
        return;
    }
    if (response->status == PSDB_IO && history->may_fail) return;
    if (response->status != PSDB_OK) wrong(history->rig, under_way->tenant, object, "cannot be read");
    for (size_t i = model->count; i > 0; i--) {
        struct write *write = &model->writes[i - 1];
        if (write->fate == GONE || !is_of(write, under_way->tenant, object)) continue;
        if (write->length != response->value || memcmp(write->bytes, bytes, response->length) != 0) continue;
        if (object->kind == PSDB_CHECKPOINT && under_way->acked != NO_WRITE && i - 1 < under_way->acked)
            break;
        write->fate = ACKED;
        return;
    }
    wrong(history->rig, under_way->tenant, object, "gave unexpected bytes");
}

static void answered(struct rig *rig, uint32_t tenant, const struct psdb_response *response) {
    struct history *history = rig->options.context;
    for (size_t i = 0; history != NULL && i < history->under_way_count; i++) {
        struct request_under_way under_way = history->under_way[i];
        if (under_way.tenant != tenant || under_way.id != response->id) continue;
        history->under_way[i] = history->under_way[--history->under_way_count];
        history->statuses[response->status]++;
        if (under_way.opcode == PSDB_READ) {
            read_answered(history, &under_way, response);
        } else {
            write_answered(history, &under_way, response->status);
        }
        return;
    }
}

void history_step(struct history *history) {
    struct random *random = &history->random;
    for (uint64_t k = random_below(random, 5); k > 0; k--) submit_some(history);
    uint64_t steps = random_chance(random, 40) ? 1000 : random_below(random, 12);
    while (steps > 0 && rig_step(history->rig)) steps--;
}

void history_settle(struct history *history) {
    rig_run(history->rig);
    CHECK_SAME(history->under_way_count, 0);
}
