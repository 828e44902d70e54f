/*
 * A test program in a ledger's place: sends a list of requests, one after the other, and prints unexpected
 * answers. On an empty disk it writes; on a disk it has written, it reads everything back.
 */
#include "client.h"

#define MiB 1048576u

struct step {
    uint8_t opcode;
    uint8_t kind;
    uint8_t ledger;
    uint8_t status;
    uint64_t index;
    uint64_t size;
    uint64_t at;
    uint32_t seed;
    uint32_t length; /* of the bytes put, or expected */
    uint64_t value;  /* READ: the object's length; TAIL: the tail files; STAT: whole bundles */
};

#define TILE_BYTES 11520u
#define READ(kind, ledger, index, at, seed, length, value)                                                   \
    { PSDB_READ, kind, ledger, PSDB_OK, index, 0, at, seed, length, value }
#define NONE(kind, ledger, index)                                                                            \
    { PSDB_READ, kind, ledger, PSDB_NONE, index, 0, 0, 0, 0, 0 }
#define SEAL(kind, ledger, index, seed, length, status)                                                      \
    { PSDB_SEAL, kind, ledger, status, index, 0, 0, seed, length, 0 }
#define COMMIT(ledger, index, size, seed, length, status)                                                    \
    { PSDB_COMMIT, 0, ledger, status, index, size, 0, seed, length, 0 }
#define PUBLISH(ledger, seed, length)                                                                        \
    { PSDB_PUBLISH, 0, ledger, PSDB_OK, 0, 0, 0, seed, length, 0 }
#define TAIL(ledger, files)                                                                                  \
    { PSDB_TAIL, 0, ledger, PSDB_OK, 0, 0, 0, 0, (files)*8, files }
#define STAT(ledger, bundles)                                                                                \
    { PSDB_STAT, 0, ledger, PSDB_OK, 0, 0, 0, 0, 0, bundles }

static const struct step on_empty[] = {
    STAT(PSDB_MAIN, 0),
    SEAL(PSDB_ORIGIN, PSDB_MAIN, 0, 1, 20, PSDB_OK),
    SEAL(PSDB_VKEY, PSDB_MAIN, 0, 2, 90, PSDB_OK),
    NONE(PSDB_TILE, PSDB_MAIN, 7),
    COMMIT(PSDB_MAIN, 0, 3, 3, 300, PSDB_OK),
    COMMIT(PSDB_MAIN, 0, 4, 4, 300, PSDB_CONFLICT),
    COMMIT(PSDB_MAIN, 3, 256, 5, 3 * MiB + 5, PSDB_OK),
    SEAL(PSDB_TILE, PSDB_MAIN, 0, 6, TILE_BYTES, PSDB_OK),
    SEAL(PSDB_BUNDLE, PSDB_MAIN, 0, 7, 5 * MiB + 1, PSDB_OK),
    SEAL(PSDB_BUNDLE, PSDB_MAIN, 0, 7, 5 * MiB + 1, PSDB_OK),
    SEAL(PSDB_BUNDLE, PSDB_MAIN, 0, 8, 5 * MiB + 1, PSDB_CONFLICT),
    COMMIT(PSDB_MAIN, 256, 257, 9, 1, PSDB_OK),
    COMMIT(PSDB_AUDIT, 0, 1, 10, 100, PSDB_OK),
    PUBLISH(PSDB_MAIN, 11, 200),
    PUBLISH(PSDB_AUDIT, 12, 200),
    PUBLISH(PSDB_MAIN, 13, 201),
    STAT(PSDB_MAIN, 1),
};

static const struct step on_written[] = {
    STAT(PSDB_MAIN, 1),
    READ(PSDB_ORIGIN, PSDB_MAIN, 0, 0, 1, 20, 20),
    READ(PSDB_VKEY, PSDB_MAIN, 0, 0, 2, 90, 90),
    NONE(PSDB_TILE, PSDB_MAIN, 7),
    READ(PSDB_TILE, PSDB_MAIN, 0, 0, 6, TILE_BYTES, TILE_BYTES),
    READ(PSDB_BUNDLE, PSDB_MAIN, 0, 0, 7, 5 * MiB + 1, 5 * MiB + 1),
    READ(PSDB_BUNDLE, PSDB_MAIN, 0, 4 * MiB - 3, 7, 1000, 5 * MiB + 1),
    READ(PSDB_TAIL_FILE, PSDB_MAIN, 256, 0, 9, 1, 1),
    READ(PSDB_TAIL_FILE, PSDB_AUDIT, 0, 0, 10, 100, 100),
    READ(PSDB_CHECKPOINT, PSDB_MAIN, 0, 0, 13, 201, 201),
    READ(PSDB_CHECKPOINT, PSDB_AUDIT, 0, 0, 12, 200, 200),
    TAIL(PSDB_MAIN, 1),
    TAIL(PSDB_AUDIT, 1),
};

static struct ring psdb;
static bool joined;
static const struct step *script; /* NULL while the program examines the disk */
static uint32_t steps;
static uint32_t at;
static uint32_t wrong;

static bool is_write(const struct step *step) {
    return step->opcode == PSDB_SEAL || step->opcode == PSDB_COMMIT || step->opcode == PSDB_PUBLISH;
}

static void ask(const struct step *step) {
    struct psdb_request request = {
        .id = at,
        .opcode = step->opcode,
        .ledger = step->ledger,
        .kind = step->kind,
        .index = step->index,
        .size = step->size,
        .at = step->at,
        .time = is_write(step) ? 1700000000 : 0,
        .length = step->length,
    };
    if (step->kind == PSDB_VKEY) memcpy(request.name, "main", 4);
    if (is_write(step)) client_fill(step->seed, step->length);
    if (step->opcode == PSDB_READ || step->opcode == PSDB_TAIL) memset(DATA, 0, step->length);
    (void)ring_ask(&psdb, &request);
    microkit_notify(CH_PSDB);
}

static bool as_expected(const struct step *step, const struct psdb_response *response) {
    if (response->id != at || response->opcode != (step->opcode | 0x80)) return false;
    if (response->status != step->status) return false;
    if (response->status != PSDB_OK || is_write(step)) return true;
    if (step->opcode == PSDB_STAT) return response->index == step->value;
    if (response->value != step->value || response->length != step->length) return false;
    return step->opcode == PSDB_TAIL || client_same(step->seed, step->at, step->length);
}

static void say_wrong(const struct step *step, const struct psdb_response *response) {
    struct text text = {0};
    text_add(&text, "step ");
    text_number(&text, at);
    text_add(&text, ": opcode ");
    text_number(&text, step->opcode);
    text_add(&text, ", status ");
    text_number(&text, response->status);
    text_add(&text, ", value ");
    text_number(&text, response->value);
    text_add(&text, ", length ");
    text_number(&text, response->length);
    console(text.bytes);
    wrong++;
}

static void next(void) {
    if (at < steps) {
        ask(&script[at]);
        return;
    }
    console(script == on_empty ? "the disk was empty" : "the disk was written to");
    client_say("done, wrong answers: ", wrong);
}

static void take(const struct psdb_response *response) {
    if (script != NULL) {
        if (!as_expected(&script[at], response)) say_wrong(&script[at], response);
        at++;
    } else {
        const bool empty = response->status != PSDB_OK;
        script = empty ? on_empty : on_written;
        steps = empty ? sizeof on_empty / sizeof *on_empty : sizeof on_written / sizeof *on_written;
    }
    next();
}

static void join(void) {
    static const struct step first = READ(PSDB_ORIGIN, PSDB_MAIN, 0, 0, 1, 20, 20);
    joined = ring_join(&psdb, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    if (joined) ask(&first);
}

void init(void) {
    join();
}

void notified(microkit_channel channel) {
    struct psdb_response response;
    if (channel != CH_PSDB) return;
    if (!joined) join();
    while (joined && ring_take(&psdb, &response)) take(&response);
}
