/*
 * Runs the network's domain with lwIP on a host, without its card. Peers, ledgers and the clock act at random
 * and break rules. lwIP allocates from the host's heap, so that the sanitizers see every block; at the end
 * all must be freed.
 *
 *   net SEED STEPS
 */
#include "lib/domain.h"
#include "lib/random.h"
#include "net/card.h"
#include "net/random.h"
#include "net/stack.h"
#include "net/tenant.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST 0x0a000202u
#define PEERS 40u
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

uint8_t at_input[SIZE_INPUT], at_mine[2][0x2000], at_theirs[2][0x2000], at_data[2][0x400000];
uint8_t at_random[sizeof(struct random_page)];

static uint64_t now = 1000000;
static uint64_t state;
static uint64_t frames_sent, bytes_given;

uint64_t ticks(void) {
    return now;
}

void console(const char *line) {
    (void)line;
}

_Noreturn void stop(const char *file, int line, const char *what) {
    fprintf(stderr, "stopped at %s:%d: %s\n", file, line, what);
    abort();
}

static uint32_t below(uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % limit;
}

/* ---- memory */

static uint32_t blocks;

void heap_begin(uintptr_t at, size_t size) {
    (void)at, (void)size;
}

/* Allocation fails at times, except for the smallest blocks, which hold lwIP's timers: net/heap.c always has
 * enough of those. */
void *heap_take(size_t size) {
    if (size > 64 && below(200) == 0) return NULL;
    blocks++;
    return malloc(size);
}

void *heap_take_zeros(size_t count, size_t size) {
    void *block = heap_take(count * size);
    if (block != NULL) memset(block, 0, count * size);
    return block;
}

void heap_give(void *block) {
    blocks--;
    free(block);
}

/* ---- the card: one frame each way */

static uint8_t *incoming;
static uint32_t incoming_length;
static uint8_t outgoing[CARD_FRAME];

static struct peer {
    uint16_t port, from;
    uint32_t sequence, expected;
} peers[PEERS];

const char *card_begin(uintptr_t registers, uintptr_t pages, uint64_t physical, uint8_t address[6]) {
    (void)registers, (void)pages, (void)physical;
    memcpy(address, "\x52\x54\0\x12\x34\x56", 6);
    return NULL;
}

bool card_has_link(void) {
    return below(2000) != 0;
}

const uint8_t *card_receive(uint32_t *length) {
    *length = incoming_length;
    return incoming;
}

void card_give_back(void) {
    free(incoming);
    incoming = NULL;
}

uint8_t *card_room(void) {
    return below(500) == 0 ? NULL : outgoing;
}

static uint32_t number(const uint8_t *at, unsigned bytes) {
    uint32_t value = 0;
    while (bytes-- > 0) value = value << 8 | *at++;
    return value;
}

/* The state a peer needs to send valid segments. */
void card_send(uint32_t length) {
    frames_sent++;
    if (length < 54 || number(outgoing + 12, 2) != 0x0800 || outgoing[23] != 6) return;
    for (uint32_t i = 0; i < PEERS; i++) {
        if (number(outgoing + 36, 2) != peers[i].from || number(outgoing + 34, 2) != peers[i].port) continue;
        const uint32_t more = length - 34 - (uint32_t)(outgoing[46] >> 4) * 4;
        const bool counts = (outgoing[47] & (SYN | FIN)) != 0;
        if (length >= 60 || counts) peers[i].expected = number(outgoing + 38, 4) + more + counts;
        bytes_given += more;
    }
}

/* ---- peers */

static void put_number(uint8_t *at, uint32_t value, unsigned bytes) {
    while (bytes-- > 0) *at++ = (uint8_t)(value >> 8 * bytes);
}

static void set_checksum(uint8_t *at, const uint8_t *bytes, uint32_t length, uint32_t more) {
    uint16_t sum = checksum(bytes, (int)length);
    uint32_t whole = (uint32_t)(sum >> 8 | (sum & 255) << 8) + more;
    while (whole > 0xffff) whole = (whole & 0xffff) + (whole >> 16);
    put_number(at, ~whole & 0xffff, 2);
}

static void come(const uint8_t *frame, uint32_t length) {
    incoming = malloc(length);
    memcpy(incoming, frame, length);
    incoming_length = length;
    stack_receive();
}

static void arp(uint32_t operation) {
    uint8_t frame[60] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 2, 2, 2, 2, 2, 8, 6, 0, 1, 8, 0, 6, 4};
    put_number(frame + 20, operation, 2);
    memcpy(frame + 22, "\2\2\2\2\2\2", 6);
    put_number(frame + 28, HOST, 4);
    put_number(frame + 38, NET_ADDRESS, 4);
    come(frame, sizeof frame);
}

static void segment(struct peer *peer, uint32_t flags, uint32_t sequence, uint32_t options, uint32_t data) {
    uint8_t frame[CARD_FRAME] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 2, 2, 2, 2, 2, 8, 0, 0x45};
    const uint32_t header = 20 + 4 * options;
    put_number(frame + 16, 20 + header + data, 2);
    frame[22] = 64;
    frame[23] = 6;
    put_number(frame + 26, HOST, 4);
    put_number(frame + 30, NET_ADDRESS, 4);
    set_checksum(frame + 24, frame + 14, 20, 0);
    uint8_t *tcp = frame + 34;
    put_number(tcp, peer->from, 2);
    put_number(tcp + 2, peer->port, 2);
    put_number(tcp + 4, sequence, 4);
    put_number(tcp + 8, below(10) == 0 ? peer->expected - below(20000) : peer->expected, 4);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = (uint8_t)flags;
    put_number(tcp + 14, below(5) == 0 ? below(3) * 100 : 65535, 2);
    for (uint32_t i = 20; i < header + data; i++) tcp[i] = (uint8_t)below(below(2) == 0 ? 10 : 256);
    const uint32_t pseudo = (HOST >> 16) + (HOST & 0xffff) + (NET_ADDRESS >> 16) + (NET_ADDRESS & 0xffff);
    set_checksum(tcp + 16, tcp, header + data, pseudo + 6 + header + data);
    if (below(50) == 0) frame[14 + below(40)] = (uint8_t)below(256);
    come(frame, below(50) == 0 ? 14 + below(20 + header + data) : 34 + header + data);
}

static void peer_step(void) {
    struct peer *peer = &peers[below(PEERS)];
    const uint32_t data = below(3) == 0 ? below(1400) : below(20);
    switch (below(12)) {
    case 0:
        *peer = (struct peer){below(2) == 0 ? 80 : 8080, (uint16_t)(1024 + below(5000)), below(1u << 30), 0};
        segment(peer, SYN, peer->sequence++, below(4), 0);
        return;
    case 1:
        segment(peer, below(64), peer->sequence + below(70000) - below(3000), below(11), data);
        return;
    case 2:
        segment(peer, ACK, peer->sequence + below(5000), 0, data);
        return;
    case 3:
        if (below(4) == 0) segment(peer, ACK | FIN, peer->sequence++, 0, 0);
        return;
    case 4:
        if (below(8) == 0) segment(peer, RST, peer->sequence, 0, 0);
        return;
    default:
        segment(peer, ACK, peer->sequence, 0, data);
        peer->sequence += data;
    }
}

/* ---- ledgers: the first follows the rules and echoes its input, the second does not */

static struct ring rings[2];

static bool tell(uint32_t ledger, enum net_op op, uint32_t connection, uint32_t offset, uint32_t length) {
    const struct net_message message = {connection, (uint8_t)op, {0}, offset, length, {0}};
    return ring_put(&rings[ledger], &message);
}

static void decent_step(void) {
    struct net_message message;
    if (RING_SLOTS - (rings[0].produced - ring_peek(&rings[0].theirs->consumed)) < 3) return;
    if (!ring_take(&rings[0], &message)) return;
    if (message.op == NET_BEGIN) tell(0, NET_LISTEN, 0, 0, 0);
    if (message.op == NET_DATA && message.length == 0) tell(0, NET_CLOSE, message.connection, 0, 0);
    if (message.op != NET_DATA || message.length == 0) return;
    const uint32_t offset = NET_SLOTS * NET_SLOT + message.offset;
    memcpy(at_data[0] + offset, at_data[0] + message.offset, message.length);
    tell(0, NET_SEND, message.connection, offset, message.length);
    tell(0, NET_DONE, 0, message.offset, 0);
    if (below(50) == 0) tell(0, NET_CLOSE, message.connection, 0, 0);
}

static void rude_step(void) {
    static uint32_t known[16];
    struct net_message message;
    while (below(3) != 0 && ring_take(&rings[1], &message)) {
        if (message.op == NET_OPENED) known[below(16)] = message.connection;
        if (message.op == NET_DATA && below(4) != 0) tell(1, NET_DONE, 0, message.offset, 0);
    }
    const uint32_t offset = below(3) == 0 ? below(1u << 23) : (NET_SLOTS + below(NET_SLOTS)) * NET_SLOT;
    const uint32_t length = below(20) == 0 ? below(1u << 20) : below(NET_SLOT + 1);
    const enum net_op op = below(60) == 0 ? NET_BEGIN : (enum net_op)(2 + below(6));
    tell(1, op, below(9) == 0 ? below(1u << 16) : known[below(16)], offset, length);
    for (uint32_t i = 0; i < 8; i++) at_data[1][below(sizeof at_data[1])] = (uint8_t)below(256);
    if (below(500) == 0) rings[1].mine->consumed += below(3) * 1000;
    if (below(50) == 0) rings[1].mine->consumed = rings[1].consumed;
}

static void work(void) {
    while (tenants_work()) {
    }
    stack_timers();
    tenants_notify();
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    state = strtoull(arguments[1], NULL, 10);
    const uint64_t steps = strtoull(arguments[2], NULL, 10);
    ((struct random_page *)at_random)->count = 2;
    if (!random_begin()) return 3;
    tenants_begin();
    if (stack_begin(0) != NULL) return 3;
    const uint32_t before = blocks;
    for (uint32_t i = 0; i < 2; i++) {
        ring_begin(&rings[i], (uintptr_t)at_theirs[i], (uintptr_t)at_mine[i]);
        tell(i, NET_BEGIN, 0, 0, 0);
        tell(i, NET_LISTEN, 0, 0, 0);
    }
    work();
    arp(1);
    for (uint64_t step = 0; step < steps; step++) {
        if (below(2) == 0) peer_step();
        if (below(3) == 0) decent_step();
        if (below(3) == 0) rude_step();
        if (below(2) == 0) work();
        if (below(1000) == 0) arp(2);
        now += below(200) == 0 ? below(3000000) : below(2000);
    }
    /* Both restart; in time net gives up all pending work. */
    for (uint32_t i = 0; i < 2; i++) {
        rings[i].mine->consumed = rings[i].consumed = ring_peek(&rings[i].theirs->produced);
        work();
        tell(i, NET_BEGIN, 0, 0, 0);
    }
    for (uint32_t i = 0; i < 8000; i++) {
        now += 250000;
        work();
    }
    printf("%llu frames, %llu bytes\n", (unsigned long long)frames_sent, (unsigned long long)bytes_given);
    /* The two listening connections. */
    if (blocks - before != 2) {
        fprintf(stderr, "%u blocks were not given back\n", blocks - before - 2);
        return 1;
    }
    return frames_sent < steps / 10 || bytes_given < steps / 10 ? 1 : 0;
}
