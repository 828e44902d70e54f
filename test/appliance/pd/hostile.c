/*
 * A test program in a ledger's place that executes commands. Each command is one line on a separate TCP
 * connection; the answer is one line with the result.
 *
 * - plan STEP...: performs the steps, each after another restart: rADDRESS reads, wADDRESS writes
 * - plan, further steps: jADDRESS jumps there, u is an undefined instruction, s a stack overflow
 * - plan, last step: fADDRESS reports a faked fault
 * - caps: calls every slot that could hold a capability
 * - steal: waits for the faults of others, and never returns
 * - psdb: sends wrong messages to PSDB
 * - rings: writes impossible ring indices
 * - rewrite: seals other bytes under existing names
 * - torn: changes bytes while PSDB seals them, and a message while PSDB copies it
 * - keys: requests signatures that keys must refuse
 * - net: sends messages for the connections of others
 * - flood WHAT N, for N seconds: n notifies, s requests storage, k requests signatures
 * - flood, further: w sends messages to net, l only loops
 * - fill: seals until the disk is full
 */
#include "client.h"
#include "keyclient.h"
#include "net/message.h"

#define ORIGIN "service-fs.local/ledger/" TENANT
#define MINE (NET_SLOTS * NET_SLOT)
#define LINE 4096u
#define MiB 0x100000u
/* The steps that are left of a plan, in memory that a restart does not clear. */
#define PLAN ((char *)AT_DATA + 16 * MiB)

static struct ring psdb, net;
static bool has_psdb, has_keys, has_begun;
static uint32_t connection;
static char line[LINE];
static uint32_t length;
static uint64_t seed;

static uint64_t any(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t seconds(void) {
    return ticks() / ticks_per_second();
}

static bool begins(const char *text, const char *with) {
    return memcmp(text, with, strlen(with)) == 0;
}

/* ---- storage */

static void join(struct ring *ring, bool *has, uintptr_t mine, uintptr_t theirs) {
    while (!*has) *has = ring_join(ring, mine, theirs);
}

/* Returns false on a timeout. */
static bool wait(struct ring *ring, void *answer) {
    const uint64_t until = seconds() + 20;
    while (seconds() < until) {
        if (ring_take(ring, answer)) return true;
    }
    return false;
}

static uint8_t psdb_one(const struct psdb_request *request) {
    struct psdb_response response;
    (void)ring_ask(&psdb, request);
    microkit_notify(CH_PSDB);
    return wait(&psdb, &response) ? response.status : 0xff;
}

static struct psdb_request bundle(uint64_t index, uint32_t offset, uint32_t bytes) {
    return (struct psdb_request){.id = 7,
                                 .opcode = PSDB_SEAL,
                                 .kind = PSDB_BUNDLE,
                                 .index = index,
                                 .time = 1700000000,
                                 .offset = offset,
                                 .length = bytes};
}

/* Valid requests to PSDB. */
static struct psdb_request right_request(void) {
    struct psdb_request request = {
        .opcode = (uint8_t)(PSDB_READ + any() % 6), .ledger = any() % 2, .length = 512};
    const uint8_t opcode = request.opcode;
    if (opcode == PSDB_READ || opcode == PSDB_SEAL) {
        request.kind = (uint8_t)(PSDB_README + any() % (opcode == PSDB_SEAL ? 5 : 7));
        request.index = request.kind >= PSDB_TILE && request.kind <= PSDB_TAIL_FILE ? any() % 4 : 0;
        if (request.kind == PSDB_VKEY) memcpy(request.name, "globex", 6);
    }
    if (opcode == PSDB_SEAL || opcode == PSDB_COMMIT || opcode == PSDB_PUBLISH) request.time = 1700000000;
    if (opcode == PSDB_COMMIT) request.size = any() % 1000 + 1;
    if (opcode == PSDB_STAT) request.length = 0;
    return request;
}

#define PICK(list) ((list)[any() % (sizeof(list) / sizeof *(list))])

/* Makes one field invalid, or not allowed for this kind. */
static void spoil(struct psdb_request *request) {
    static const uint64_t numbers[] = {
        1, 255, 256, UINT64_C(1) << 32, PSDB_MAX_SIZE, PSDB_MAX_SIZE + 1, UINT64_C(1) << 63, UINT64_MAX};
    static const uint32_t offsets[] = {1, SIZE_DATA - 1, SIZE_DATA, 0x80000000, UINT32_MAX - 511, UINT32_MAX};
    static const uint32_t lengths[] = {1, SIZE_DATA + 1, 0x80000000, UINT32_MAX - 511, UINT32_MAX};
    static const char list[][PSDB_NAME_BYTES + 1] = {"../globex", "globex/a",         "/globex", "a.vkey",
                                                     "",          "aaaaaaaaaaaaaaaa", "A",       "a\na"};
    switch (any() % 10) {
    case 0:
        request->opcode = (uint8_t)any();
        break;
    case 1:
        request->ledger = (uint8_t)any();
        break;
    case 2:
        request->kind = (uint8_t)any();
        break;
    case 3:
        request->level = (uint8_t)any();
        break;
    case 4:
        request->index = PICK(numbers);
        break;
    case 5:
        request->size = PICK(numbers);
        break;
    case 6:
        request->at = PICK(numbers);
        break;
    case 7:
        request->time = PICK(numbers);
        break;
    case 8:
        request->offset = PICK(offsets);
        if (any() % 2 == 0) request->length = PICK(lengths);
        break;
    default:
        memcpy(request->name, PICK(list), PSDB_NAME_BYTES);
    }
}

static void many_wrong(struct text *text) {
    static struct psdb_request requests[RING_SLOTS];
    struct psdb_response response;
    uint32_t count[8] = {0}, strange = 0, missing = 0;
    for (uint32_t round = 0; round < 48; round++) {
        for (uint32_t i = 0; i < RING_SLOTS; i++) {
            requests[i] = right_request();
            if (i % 8 != 0) spoil(&requests[i]);
            requests[i].id = i;
            (void)ring_ask(&psdb, &requests[i]);
        }
        microkit_notify(CH_PSDB);
        for (uint32_t i = 0; i < RING_SLOTS; i++) {
            if (!wait(&psdb, &response)) {
                missing++;
            } else if (response.id >= RING_SLOTS || response.status > PSDB_INVALID ||
                       response.opcode != (requests[response.id].opcode | 0x80)) {
                strange++;
            } else {
                count[response.status]++;
            }
        }
    }
    put(text, "missing ", missing);
    put(text, " strange ", strange);
    for (uint32_t i = 0; i <= PSDB_INVALID; i++) put(text, i == 0 ? " statuses " : ",", count[i]);
}

/* Another tenant's names, or invalid ones: PSDB answers INVALID with the field. */
static void other_names(struct text *text) {
    static const char list[][PSDB_NAME_BYTES + 1] = {"../globex", "globex/a", "/globex", "a.vkey", "", "A"};
    for (uint32_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct psdb_request request = bundle(0, 0, 100);
        request.kind = PSDB_VKEY;
        memcpy(request.name, list[i], PSDB_NAME_BYTES);
        put(text, i == 0 ? " names " : ",", psdb_one(&request));
    }
}

/* The same message again, unchanged. */
static void replay(struct text *text) {
    const struct psdb_request sealed = bundle(3000, 0, 5000);
    const struct psdb_request commit = {.opcode = PSDB_COMMIT,
                                        .index = PSDB_MAX_SIZE - 1,
                                        .size = PSDB_MAX_SIZE,
                                        .time = 1700000000,
                                        .length = 100};
    put(text, " replayed ", psdb_one(&sealed));
    put(text, ",", psdb_one(&sealed));
    put(text, ",", psdb_one(&commit) & 0xfd); /* OK, or CONFLICT if it existed before */
    put(text, ",", psdb_one(&commit));
}

static void wrong_psdb(struct text *text) {
    many_wrong(text);
    other_names(text);
    replay(text);
}

static void rewrite(struct text *text) {
    struct psdb_request request = bundle(4000, 0, 5000);
    client_fill(1, 5000);
    put(text, "sealed ", psdb_one(&request));
    client_fill(2, 5000);
    put(text, " other bytes ", psdb_one(&request));
    request.length = 4999;
    put(text, " fewer ", psdb_one(&request));
    request.opcode = PSDB_READ;
    request.time = 0;
    request.length = 5000;
    put(text, " read ", psdb_one(&request));
    put(text, " the same ", client_same(1, 0, 5000));
}

/* Bytes that change during a write: PSDB answers once, and the disk contents stay stable. */
static void torn(struct text *text) {
    const struct psdb_request request = bundle(5000 + any() % 1000, 0, 5 * MiB);
    struct psdb_response response = {0};
    memset(DATA, 'a', 5 * MiB);
    (void)ring_ask(&psdb, &request);
    microkit_notify(CH_PSDB);
    uint32_t changes = 0;
    const uint64_t until = seconds() + 20;
    while (seconds() < until && !ring_take(&psdb, &response)) {
        for (uint32_t at = changes % 512; at < 5 * MiB; at += 512) DATA[at] = (uint8_t)('b' + changes % 20);
        changes++;
    }
    put(text, "opcode ", response.opcode);
    put(text, " changed ", changes > 0);
    struct psdb_request stat = {.opcode = PSDB_STAT};
    for (uint32_t i = 0; i < 1000; i++) {
        /* Half of the message belongs to another message. */
        uint8_t *slot = psdb.mine->slots[psdb.produced % RING_SLOTS];
        (void)ring_ask(&psdb, &stat);
        memset(slot + any() % 32, (uint8_t)any(), 32);
        microkit_notify(CH_PSDB);
        memset(slot, 0xff, 64);
        if (!wait(&psdb, &response)) text_add(text, " no answer");
    }
    put(text, " afterwards ", psdb_one(&stat));
}

static void fill(struct text *text) {
    static const uint32_t sizes[] = {24 * MiB, 4 * MiB, MiB, 65536, 4096, 512};
    uint64_t index = 100000, count = 0;
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct psdb_request request = bundle(index, 0, sizes[i]);
        uint8_t status;
        while ((status = psdb_one(&request)) == PSDB_OK) {
            request.index = ++index;
            count++;
        }
        put(text, i == 0 ? "ended by " : ",", status);
    }
    put(text, " sealed more than three ", count > 3);
}

/* ---- rings */

/* Writes impossible indices, then restores them. */
static void forge(struct ring *ring, unsigned channel) {
    for (uint32_t i = 0; i < 2000; i++) {
        ring->mine->produced = ring->produced + 65 + (uint32_t)any() % 0x7fffffff;
        ring->mine->consumed = ring->consumed + 65 + (uint32_t)any() % 0x7fffffff;
        microkit_notify(channel);
    }
    ring->mine->consumed = ring->consumed;
    ring->mine->produced = ring->produced;
    microkit_notify(channel);
}

static void forge_all(struct text *text) {
    const struct psdb_request stat = {.opcode = PSDB_STAT};
    struct keys_message answer = {0};
    forge(&psdb, CH_PSDB);
    put(text, "psdb afterwards ", psdb_one(&stat));
    forge(&keys, CH_KEYS);
    ask(&(struct keys_message){.id = 9, .op = KEYS_VKEY});
    put(text, " keys afterwards ", wait(&keys, &answer) ? answer.status : 0xff);
    forge(&net, CH_NET);
}

/* ---- keys */

/* The members are in the order in which a reader of the lists wants them.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct step {
    uint8_t op, ledger;
    const char *origin;
    uint64_t size;
    uint8_t root;
    uint32_t offset, length; /* 0: the root from the text */
};

static uint8_t sign(const struct step *step) {
    struct keys_message answer = {0};
    uint32_t used = checkpoint((char *)AT_KEYS_DATA, step->origin, step->size, step->root);
    ask(&(struct keys_message){.id = 5,
                               .op = step->op,
                               .ledger = step->ledger,
                               .offset = step->offset,
                               .length = step->length == 0 ? used : step->length});
    return wait(&keys, &answer) ? answer.status : 0xff;
}

static void wrong_keys(struct text *text) {
    static const struct step steps[] = {
        {KEYS_SIGN, 0, ORIGIN, 5, 1, 0, 0},
        {KEYS_SIGN, 0, ORIGIN, 5, 2, 0, 0}, /* a fork */
        {KEYS_SIGN, 0, ORIGIN, 4, 1, 0, 0}, /* a smaller tree */
        {KEYS_SIGN, 0, ORIGIN, 5, 1, 0, 0},
        {KEYS_SIGN, 0, "service-fs.local/ledger/globex", 5, 1, 0, 0},
        {KEYS_SIGN, 1, "service-fs.local/ledger/globex/audit", 5, 1, 0, 0},
        {KEYS_SIGN, 1, ORIGIN, 5, 1, 0, 0},
        {KEYS_SIGN, 0, "\n\n\n", 5, 1, 0, 0},
        {KEYS_SIGN, 0, ORIGIN, UINT64_MAX, 1, 0, 0},
        {KEYS_SIGN, 2, ORIGIN, 5, 1, 0, 0},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, KEYS_REGION, 0},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, KEYS_REGION - 1, 0},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, UINT32_MAX, 0},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, 0, KEYS_REGION},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, 0, UINT32_MAX},
        {KEYS_SIGN, 0, ORIGIN, 5, 1, 0, 10},
        {0, 0, ORIGIN, 5, 1, 0, 0},
        {77, 0, ORIGIN, 5, 1, 0, 0},
    };
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++)
        put(text, i == 0 ? "statuses " : ",", sign(&steps[i]));
}

/* ---- the network */

static void put_net(enum net_op op, uint32_t number, uint32_t offset, uint32_t bytes) {
    const struct net_message message = {
        .connection = number, .op = (uint8_t)op, .offset = offset, .length = bytes};
    struct net_message unread;
    while (!ring_put(&net, &message)) {
        microkit_notify(CH_NET);
        while (op != NET_BEGIN && op != NET_LISTEN && ring_take(&net, &unread)) {
        }
    }
}

static void wrong_net(struct text *text) {
    /* Numbers in net's form: a count followed by a slot of 256. */
    for (uint32_t i = 0; i < 0x10000; i++) {
        if (i == connection) continue;
        put_net(NET_CLOSE, i, 0, 0);
        if (i % 16 == 0) put_net(NET_PAUSE, i, 0, 0);
        if (i % 64 == 0) put_net(NET_SEND, i, MINE + (i / 64 + 8) % NET_SLOTS * NET_SLOT, NET_SLOT);
    }
    for (uint32_t i = 0; i < 4000; i++) {
        if ((uint32_t)any() == connection) continue;
        put_net(NET_SEND, (uint32_t)any() & ~0xffu, (uint32_t)any(), (uint32_t)any());
        put_net(NET_DONE, (uint32_t)any(), (uint32_t)any() % (2 * NET_SLOTS) * NET_SLOT, (uint32_t)any());
        put_net((enum net_op)(NET_DONE + any() % 200), (uint32_t)any(), (uint32_t)any(), (uint32_t)any());
    }
    text_add(text, "done");
}

/* ---- floods */

static void flood(char what, uint64_t count) {
    static const unsigned channels[] = {CH_CONSOLE, CH_PSDB, CH_NET, CH_CLOCK, CH_ENTROPY, CH_KEYS};
    const uint64_t until = seconds() + count;
    struct psdb_response response;
    struct keys_message answer;
    const struct psdb_request seal = bundle(6000, 0, MiB);
    struct psdb_request read = bundle(6000, 2 * MiB, MiB);
    read.opcode = PSDB_READ;
    read.time = 0;
    memset(DATA, 'a', MiB);
    for (uint32_t i = 0; seconds() < until; i++) {
        if (what == 'n') microkit_notify(channels[i % (sizeof channels / sizeof *channels)]);
        if (what == 's') {
            while (ring_ask(&psdb, i % 2 == 0 ? &seal : &read)) {
            }
            microkit_notify(CH_PSDB);
            while (ring_take(&psdb, &response)) {
            }
        }
        if (what == 'k') {
            /* The signature overwrites the text. */
            for (uint32_t slot = 0; slot < KEYS_SLOTS; slot++) {
                const uint32_t offset = slot * KEYS_SLOT;
                const uint32_t used = checkpoint((char *)AT_KEYS_DATA + offset, ORIGIN, 5, 1);
                ask(&(struct keys_message){.op = KEYS_SIGN, .offset = offset, .length = used});
            }
            for (uint32_t slot = 0; slot < KEYS_SLOTS; slot++) (void)wait(&keys, &answer);
        }
        if (what == 'w') put_net(NET_CLOSE, i | 0x80000000u, 0, 0);
    }
    while (psdb.produced != psdb.consumed && wait(&psdb, &response)) {
    }
}

/* ---- capabilities */

/* Tries every slot of its own table with every operation, and lists the slots that answer. It leaves out
 * slots on which a call would block: its own notification, its parent's endpoint, the reply. Then it tries
 * addresses beyond the table. */
static void call_all(struct text *text) {
    text_add(text, "answer:");
    for (seL4_CPtr slot = 0; slot < 512; slot++) {
        uint32_t answers = 0;
        if (slot == 1 || slot == 2 || slot == 4) continue;
        for (seL4_Word label = 0; label < 90; label++) {
            for (int i = 0; i < 4; i++) seL4_SetMR(i, i == 0 ? AT_DATA : any() % 3);
            const seL4_MessageInfo_t info =
                seL4_Call(slot, seL4_MessageInfo_new(label, 0, 0, label % 2 == 0 ? 0 : 4));
            if (seL4_MessageInfo_get_label(info) != seL4_InvalidCapability) answers++;
        }
        if (answers > 0) put(text, " ", slot);
    }
    for (uint32_t i = 0; i < 100000; i++) {
        seL4_NBSend(any() | 512, seL4_MessageInfo_new(any() % 90, 0, 0, 4));
    }
}

/* Receives on its parent's fault endpoint, which others' faults reach too. */
static _Noreturn void steal(void) {
    for (;;) {
        seL4_Word badge = 0;
        (void)seL4_Recv(2, &badge, 4);
        client_say("stole a fault of ", badge);
    }
}

/* ---- plans */

/* Overflows the stack. NOLINTNEXTLINE(misc-no-recursion) */
static uint64_t deeper(volatile uint8_t *above, uint64_t depth) {
    volatile uint8_t here[4096];
    here[depth % sizeof here] = above[depth % 64];
    return depth == 0 ? here[0] : deeper(here, depth - 1) + here[depth % sizeof here];
}

static uint64_t hexadecimal(const char *text) {
    uint64_t number = 0;
    for (text += begins(text, "0x") ? 2 : 0; *text > ' '; text++)
        number = number * 16 + (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return number;
}

static void tell_of_fault(uint64_t address) {
    seL4_SetMR(seL4_VMFault_IP, 0);
    seL4_SetMR(seL4_VMFault_Addr, address);
    seL4_SetMR(seL4_VMFault_PrefetchFault, 0);
    seL4_SetMR(seL4_VMFault_FSR, 0);
    seL4_Send(2, seL4_MessageInfo_new(seL4_Fault_VMFault, 0, 0, 4));
}

static void do_step(const char *step) {
    volatile uint8_t start[64] = {0};
    typedef void code(void);
    const uint64_t address = hexadecimal(step + 1);
    if (*step == 'r') client_say("has read ", *(volatile uint8_t *)address);
    if (*step == 'w') *(volatile uint32_t *)address = 0xdeadbeef;
    if (*step == 'j') ((code *)address)();
    if (*step == 'u') __asm__ volatile("udf #1");
    if (*step == 's') client_say("came back from ", deeper(start, 1000000));
    if (*step == 'f') tell_of_fault(address);
    /* With some SDKs a domain lacks the capability that tell_of_fault() uses; it faults here instead. */
    if (*step == 'f') __asm__ volatile("udf #1");
    console("has done what it must not");
}

/* Performs the next step of the plan, if any. */
static void go_on(void) {
    while (*PLAN != '\0') {
        char step[32] = {0};
        char *at = PLAN;
        for (uint32_t i = 0; *at > ' ' && i < sizeof step - 1; i++) step[i] = *at++;
        while (*at == ' ') at++;
        memmove(PLAN, at, strlen(at) + 1);
        do_step(step);
    }
}

/* ---- commands */

static void answer_line(const struct text *text) {
    static uint32_t slot;
    const uint32_t offset = MINE + slot++ % 8 * NET_SLOT;
    uint8_t *to = (uint8_t *)AT_NET_DATA + offset;
    memcpy(to, text->bytes, text->length);
    to[text->length] = '\n';
    put_net(NET_SEND, connection, offset, (uint32_t)text->length + 1);
    put_net(NET_CLOSE, connection, 0, 0);
}

static void obey(void) {
    struct text text = {0};
    join(&psdb, &has_psdb, AT_PSDB_RING_MINE, AT_PSDB_RING_THEIRS);
    join(&keys, &has_keys, AT_KEYS_RING_MINE, AT_KEYS_RING_THEIRS);
    console(line);
    if (begins(line, "plan ")) {
        memcpy(PLAN, line + 5, length - 4);
        go_on();
    }
    if (begins(line, "caps")) call_all(&text);
    if (begins(line, "steal")) steal();
    if (begins(line, "psdb")) wrong_psdb(&text);
    if (begins(line, "rings")) forge_all(&text);
    if (begins(line, "rewrite")) rewrite(&text);
    if (begins(line, "torn")) torn(&text);
    if (begins(line, "keys")) wrong_keys(&text);
    if (begins(line, "net")) wrong_net(&text);
    if (begins(line, "fill")) fill(&text);
    if (begins(line, "flood ")) flood(line[6], (uint64_t)(line[8] - '0') * 10 + (uint64_t)(line[9] - '0'));
    answer_line(&text);
    length = 0;
}

static void take(const struct net_message *message) {
    if (message->op == NET_BEGIN) {
        has_begun = true;
        put_net(NET_LISTEN, 0, 0, 0);
    }
    if (!has_begun || message->op != NET_DATA || message->length == 0) return;
    const char *bytes = (const char *)AT_NET_DATA + message->offset;
    bool ends = false;
    for (uint32_t i = 0; i < message->length && !ends && length < LINE - 1; i++) {
        ends = bytes[i] == '\n';
        if (!ends) line[length++] = bytes[i];
    }
    line[length] = '\0';
    connection = message->connection;
    put_net(NET_DONE, 0, message->offset, 0);
    if (ends) obey();
}

void init(void) {
    seed = 88172645463325252u;
    go_on();
    ring_resume(&net, AT_NET_RING_MINE, AT_NET_RING_THEIRS);
    put_net(NET_BEGIN, 0, 0, 0);
    microkit_notify(CH_NET);
}

void notified(microkit_channel channel) {
    struct net_message message;
    (void)channel;
    while (ring_take(&net, &message)) take(&message);
    microkit_notify(CH_NET);
}
