/*
 * A test program in a ledger's place: sends a list of requests to keys, one after the other, and prints
 * unexpected answers. On a key disk that has signed the list already, it requests signatures that keys must
 * refuse.
 */
#include "keyclient.h"

#define ORIGIN "service-fs.local/ledger/" TENANT
#define SLOT (3 * KEYS_SLOT)

/* The members are in the order in which a reader of the lists wants them.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct step {
    uint8_t op;
    uint8_t ledger;
    uint8_t status;
    const char *origin;
    uint64_t size;
    uint8_t root;
    uint32_t offset;
    uint32_t length; /* 0: the size from the text */
};

#define SIGN(ledger, size, root, status)                                                                     \
    { KEYS_SIGN, ledger, status, (ledger) == 0 ? ORIGIN : ORIGIN "/audit", size, root, SLOT, 0 }
#define OTHER(ledger, origin)                                                                                \
    { KEYS_SIGN, ledger, KEYS_INVALID, origin, 9, 1, SLOT, 0 }
#define KEPT(ledger)                                                                                         \
    { KEYS_KEPT, ledger, KEYS_OK, "", 0, 0, SLOT, 0 }
#define BAD(op, ledger, offset, length)                                                                      \
    { op, ledger, KEYS_INVALID, ORIGIN, 9, 1, offset, length }

static const struct step first[] = {
    SIGN(0, 1, 1, KEYS_OK),
    SIGN(0, 2, 2, KEYS_OK),
    SIGN(0, 7, 3, KEYS_OK),
    SIGN(0, 7, 3, KEYS_OK),
    KEPT(0),
    SIGN(0, 6, 3, KEYS_REFUSED),
    SIGN(0, 7, 4, KEYS_REFUSED),
    SIGN(0, 0, 0, KEYS_INVALID), /* not the root of the empty tree */
    SIGN(1, 3, 5, KEYS_OK),
    KEPT(1),
    OTHER(0, "globex.example/log"),
    OTHER(1, ORIGIN),
    OTHER(0, ORIGIN "/audit"),
    OTHER(0, "garbage"),
    BAD(9, 0, SLOT, 0),
    BAD(KEYS_SIGN, 2, SLOT, 0),
    BAD(KEYS_SIGN, 0, SLOT, 20),
    BAD(KEYS_SIGN, 0, SLOT, KEYS_SLOT + 1),
    BAD(KEYS_SIGN, 0, 1, 0),
    BAD(KEYS_SIGN, 0, KEYS_REGION, 100),
    BAD(KEYS_SIGN, 0, UINT32_MAX - KEYS_SLOT + 1, 100),
    BAD(KEYS_VKEY, 0, KEYS_REGION, 0),
};

/* All sizes are marked as durable. */
static const struct step later[] = {
    SIGN(0, 1, 1, KEYS_REFUSED), SIGN(0, 6, 3, KEYS_REFUSED), SIGN(0, 7, 4, KEYS_REFUSED),
    SIGN(1, 2, 5, KEYS_REFUSED), SIGN(1, 3, 6, KEYS_REFUSED), SIGN(0, 7, 3, KEYS_OK),
    SIGN(1, 3, 5, KEYS_OK),
};

static bool has_joined;
static uint32_t vkeys;
static const struct step *steps;
static uint32_t count;
static uint32_t at;
static uint32_t wrong;

static void next(void) {
    if (vkeys < 2) {
        ask(&(struct keys_message){.op = KEYS_VKEY, .ledger = (uint8_t)vkeys});
        return;
    }
    if (at == count) {
        struct text text = {0};
        put(&text,
            steps == first ? "first list done, wrong answers: " : "later list done, wrong answers: ", wrong);
        console(text.bytes);
        return;
    }
    const struct step *step = &steps[at];
    const uint32_t length = checkpoint((char *)AT_KEYS_DATA + SLOT, step->origin, step->size, step->root);
    ask(&(struct keys_message){.id = at,
                               .op = step->op,
                               .ledger = step->ledger,
                               .offset = step->offset,
                               .length = step->length == 0 ? length : step->length});
}

static void take(const struct keys_message *answer) {
    if (vkeys < 2) {
        say_answer("key ", answer);
        vkeys++;
    } else if (steps == first && at == 0 && answer->status == KEYS_REFUSED) {
        steps = later;
        count = sizeof later / sizeof *later;
    } else {
        struct text text = {0};
        put(&text, "ledger ", steps[at].ledger);
        put(&text, " size ", steps[at].size);
        put(&text, " root ", steps[at].root);
        text_add(&text, " ");
        if (answer->op == KEYS_SIGN && answer->status == KEYS_OK) say_answer(text.bytes, answer);
        if (answer->status != steps[at].status || answer->id != at) {
            put(&text, "was answered ", answer->status);
            put(&text, " in step ", at);
            console(text.bytes);
            wrong++;
        }
        at++;
    }
    next();
}

static void join(void) {
    has_joined = ring_join(&keys, AT_KEYS_RING_MINE, AT_KEYS_RING_THEIRS);
    if (has_joined) next();
}

void init(void) {
    steps = first;
    count = sizeof first / sizeof *first;
    join();
}

void notified(microkit_channel channel) {
    struct keys_message answer;
    if (channel != CH_KEYS) return;
    if (!has_joined) join();
    while (has_joined && ring_take(&keys, &answer)) take(&answer);
}
