/*
 * A test program in a ledger's place: in each of its first lives it seals one bundle, begins to seal another,
 * and then misbehaves. After that it behaves.
 */
#include "client.h"

#define LIVES 4u

static struct ring psdb;
static bool joined;
/* Memory that must be clean at the start of each life. */
static uint32_t clean;
static enum { LOOKING, SEALING, CHECKING } doing;
static uint64_t life;

static void ask(uint8_t opcode, uint64_t index, uint32_t offset, uint32_t length) {
    const struct psdb_request request = {
        .id = 1,
        .opcode = opcode,
        .kind = opcode == PSDB_STAT ? 0 : PSDB_BUNDLE,
        .index = index,
        .time = opcode == PSDB_SEAL ? 1700000000 : 0,
        .offset = offset,
        .length = length,
    };
    (void)ring_ask(&psdb, &request);
}

/* Overflows the stack. NOLINTNEXTLINE(misc-no-recursion) */
static uint64_t deeper(volatile uint8_t *above, uint64_t depth) {
    volatile uint8_t here[4096];
    here[depth % sizeof here] = above[depth % 64];
    return depth == 0 ? here[0] : deeper(here, depth - 1) + here[depth % sizeof here];
}

static void misbehave(void) {
    volatile uint8_t start[64] = {0};
    typedef void code(void);
    client_say("misbehaves in life ", life);
    switch (life) {
    case 0:
        *(volatile uint32_t *)AT_TIME = 1;
        break;
    case 1:
        client_say("came back from ", deeper(start, 1000000));
        break;
    case 2:
        memset(DATA, 0, 64);
        ((code *)AT_DATA)();
        break;
    default:
        __asm__ volatile("udf #1");
    }
    console("nothing happened");
}

static void take(const struct psdb_response *response) {
    switch (doing) {
    case LOOKING:
        life = response->index;
        client_say("memory is clean: ", clean == 0);
        clean = 1;
        if (life > LIVES) client_say("too many lives: ", life);
        client_fill((uint32_t)life, 1000);
        doing = SEALING;
        ask(PSDB_SEAL, life, 0, 1000);
        break;
    case SEALING:
        if (response->status != PSDB_OK) client_say("a bundle was not sealed: ", response->status);
        if (life < LIVES) {
            /* From a previous life: it may be sealed or not, and its answer is ignored. */
            client_fill(99, 1000);
            ask(PSDB_SEAL, 100 + life, 0, 1000);
            ask(PSDB_READ, life, 4096, 1000);
            microkit_notify(CH_PSDB);
            misbehave();
        }
        doing = CHECKING;
        memset(DATA, 0, 1000);
        ask(PSDB_READ, 0, 0, 1000);
        break;
    default:
        client_say("the first bundle is there: ", client_same(0, 0, 1000));
        return;
    }
    microkit_notify(CH_PSDB);
}

static void join(void) {
    joined = ring_join(&psdb, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    if (!joined) return;
    ask(PSDB_STAT, 0, 0, 0);
    microkit_notify(CH_PSDB);
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
