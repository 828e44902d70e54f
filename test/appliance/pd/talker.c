/*
 * A test program in a ledger's place that talks to peers. The first line of a connection chooses what it
 * does:
 *
 *   echo     sends back all bytes that it receives
 * - count: when the peer has ended, sends the number of bytes after the line, and their hash in hexadecimal
 * - give N: sends N bytes of talker_byte(), and closes
 * - deaf: pauses, and reads no more
 * - mute: reads all bytes and sends none
 * - late: closes at once, and reports it
 * - fault: faults
 * - stuck: never returns
 * - rude: sends messages that break the rules
 * - GET ...: sends a page
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/text.h"
#include "net/message.h"

#include <string.h>

#define MINE (NET_SLOTS * NET_SLOT)
#define LINE 40u

enum manner { UNKNOWN, ECHO, COUNT, GIVE, DEAF, MUTE };

struct held {
    uint32_t offset, length, at;
};

static struct peer {
    uint32_t number; /* 0: there is none */
    enum manner manner;
    char line[LINE];
    uint32_t line_length;
    struct held held[NET_WINDOW];
    uint32_t held_count;
    bool has_ended, is_closing;
    uint32_t slots; /* in flight */
    uint64_t left, count;
    uint32_t hash;
} peers[NET_CONNECTIONS];

static struct ring ring;
static bool has_begun, is_rude;
static uint32_t slot_of[NET_SLOTS]; /* whose number it is; 0: free */
static uint32_t open_count, most_open, total;

static void put(enum net_op op, uint32_t number, uint32_t offset, uint32_t length) {
    const struct net_message message = {
        .connection = number, .op = (uint8_t)op, .offset = offset, .length = length};
    /* Test programs send little at a time; net runs before this continues. */
    while (!ring_put(&ring, &message)) microkit_notify(CH_NET);
}

static uint8_t *at(uint32_t offset) {
    return (uint8_t *)AT_NET_DATA + offset;
}

static uint8_t talker_byte(uint64_t i) {
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static struct peer *find(uint32_t number) {
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (number != 0 && peers[i].number == number) return &peers[i];
    }
    return NULL;
}

/* Returns a slot to fill, or NULL if none is free or enough are in flight. */
static uint8_t *slot_for(struct peer *peer, uint32_t *slot) {
    if (peer->slots == NET_WINDOW) return NULL;
    for (*slot = 0; *slot < NET_SLOTS; (*slot)++) {
        if (slot_of[*slot] == 0) return at(MINE + *slot * NET_SLOT);
    }
    return NULL;
}

static void send(struct peer *peer, uint32_t slot, uint32_t length) {
    slot_of[slot] = peer->number;
    peer->slots++;
    put(NET_SEND, peer->number, MINE + slot * NET_SLOT, length);
}

static void close(struct peer *peer) {
    peer->is_closing = true;
    put(NET_CLOSE, peer->number, 0, 0);
}

static void say(struct peer *peer, const char *text) {
    uint32_t slot;
    uint8_t *to = slot_for(peer, &slot);
    if (to == NULL) return;
    memcpy(to, text, strlen(text));
    send(peer, slot, (uint32_t)strlen(text));
}

static void give(struct peer *peer) {
    uint32_t slot;
    uint8_t *to;
    while (peer->left > 0 && (to = slot_for(peer, &slot)) != NULL) {
        const uint32_t length = peer->left < NET_SLOT ? (uint32_t)peer->left : NET_SLOT;
        for (uint32_t i = 0; i < length; i++) to[i] = talker_byte(peer->count + i);
        peer->count += length;
        peer->left -= length;
        send(peer, slot, length);
    }
    if (peer->left == 0 && !peer->is_closing) close(peer);
}

static void be_rude(uint32_t number) {
    for (uint32_t i = 0; i < 1000; i++) {
        put(NET_SEND, number, i * 977, 0xffffffff);
        put(NET_SEND, number, MINE + (i % (2 * NET_SLOTS)) * NET_SLOT, NET_SLOT + 1);
        put(NET_SEND, i * 0x1001, MINE + (i % NET_SLOTS) * NET_SLOT, NET_SLOT);
        put(NET_DONE, i, i * NET_SLOT, i);
        put(NET_CLOSE, i << 8, 0, 0);
        put((enum net_op)(i % 256), number + 256, 0xffffe000, 0xffffffff);
    }
    /* More bytes than its window. */
    for (uint32_t i = 0; i < 2 * NET_WINDOW; i++) put(NET_SEND, number, MINE + i * NET_SLOT, NET_SLOT);
    is_rude = true;
    console("was rude");
    /* Impossible values of its own indices. */
    ring.mine->produced = ring.produced + 0x10000;
    ring.mine->consumed = ring.consumed + 0x10000;
    microkit_notify(CH_NET);
}

static uint64_t number_in(const char *text) {
    uint64_t number = 0;
    while (*text >= '0' && *text <= '9') number = 10 * number + (uint64_t)(*text++ - '0');
    return number;
}

static bool begins(const char *text, const char *with) {
    return memcmp(text, with, strlen(with)) == 0;
}

static void choose(struct peer *peer) {
    const char *line = peer->line;
    peer->manner = MUTE;
    if (begins(line, "echo")) peer->manner = ECHO;
    if (begins(line, "count")) peer->manner = COUNT;
    if (begins(line, "deaf")) {
        peer->manner = DEAF;
        put(NET_PAUSE, peer->number, 0, 0);
    }
    if (begins(line, "give ")) {
        peer->manner = GIVE;
        peer->left = number_in(line + 5);
        peer->count = 0;
        give(peer);
    }
    if (begins(line, "late")) {
        say(peer, "too late\n");
        close(peer);
    }
    if (begins(line, "GET ")) {
        say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: "
                  "close\r\n\r\nhello\n");
        close(peer);
    }
    if (begins(line, "rude")) be_rude(peer->number);
    if (begins(line, "fault")) __builtin_trap();
    while (begins(line, "stuck")) {
    }
}

/* Processes a peer's data as far as there is room for the answer. */
static void use(struct peer *peer) {
    while (peer->held_count > 0 && peer->manner != DEAF) {
        struct held *held = &peer->held[0];
        const uint8_t *from = at(held->offset) + held->at;
        uint32_t left = held->length - held->at;
        while (left > 0 && peer->manner == UNKNOWN) {
            const char byte = (char)*from++;
            held->at++;
            left--;
            if (byte == '\n' || peer->line_length == LINE - 1) {
                choose(peer);
            } else {
                peer->line[peer->line_length++] = byte;
            }
        }
        if (peer->manner == DEAF) return;
        if (left > 0 && peer->manner == ECHO) {
            uint32_t slot;
            uint8_t *to = slot_for(peer, &slot);
            if (to == NULL) return;
            memcpy(to, from, left);
            send(peer, slot, left);
        }
        for (uint32_t i = 0; i < left && peer->manner == COUNT; i++) {
            peer->hash = (peer->hash ^ from[i]) * 16777619u;
            peer->count++;
        }
        put(NET_DONE, peer->number, held->offset, 0);
        peer->held_count--;
        memmove(peer->held, peer->held + 1, peer->held_count * sizeof *peer->held);
    }
    if (!peer->has_ended || peer->is_closing || peer->manner == GIVE) return;
    if (peer->manner == COUNT) {
        struct text text = {0};
        text_hex(&text, peer->count);
        text_add(&text, " ");
        text_hex(&text, peer->hash);
        text_add(&text, "\n");
        say(peer, text.bytes);
    }
    close(peer);
}

static void opened(uint32_t number) {
    struct peer *peer = NULL;
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (peers[i].number == 0) peer = &peers[i];
    }
    if (peer == NULL) {
        console("too many connections");
        return;
    }
    *peer = (struct peer){.number = number, .hash = 2166136261u};
    open_count++;
    total++;
    if (open_count > most_open) most_open = open_count;
}

static void closed(struct peer *peer) {
    for (uint32_t i = 0; i < peer->held_count; i++) put(NET_DONE, peer->number, peer->held[i].offset, 0);
    peer->number = 0;
    open_count--;
    if (open_count > 0) return;
    struct text text = {0};
    text_add(&text, "all closed; in all ");
    text_number(&text, total);
    text_add(&text, ", at a time ");
    text_number(&text, most_open);
    console(text.bytes);
}

static void data(struct peer *peer, const struct net_message *message) {
    if (peer == NULL) {
        if (message->length > 0) put(NET_DONE, 0, message->offset, 0);
        return;
    }
    if (message->length == 0) {
        peer->has_ended = true;
    } else if (peer->held_count == NET_WINDOW || message->offset >= MINE || message->length > NET_SLOT) {
        console("net broke the rules");
        return;
    } else {
        peer->held[peer->held_count++] = (struct held){message->offset, message->length, 0};
    }
    use(peer);
}

static void taken(uint32_t offset) {
    const uint32_t slot = (offset - MINE) / NET_SLOT;
    if (offset < MINE || slot >= NET_SLOTS || slot_of[slot] == 0) {
        if (!is_rude) console("net gave back bytes that it does not hold");
        return;
    }
    struct peer *peer = find(slot_of[slot]);
    slot_of[slot] = 0;
    if (peer == NULL) return;
    peer->slots--;
    if (peer->manner == GIVE) {
        give(peer);
    } else {
        use(peer);
    }
}

static void take(const struct net_message *message) {
    struct peer *peer = find(message->connection);
    if (message->op == NET_BEGIN) {
        has_begun = true;
        put(NET_LISTEN, 0, 0, 0);
    }
    if (!has_begun) return;
    if (message->op == NET_OPENED) opened(message->connection);
    if (message->op == NET_DATA) data(peer, message);
    if (message->op == NET_TAKEN) taken(message->offset);
    if (message->op == NET_CLOSED && peer != NULL) closed(peer);
}

void init(void) {
    ring_resume(&ring, AT_NET_RING_MINE, AT_NET_RING_THEIRS);
    put(NET_BEGIN, 0, 0, 0);
    microkit_notify(CH_NET);
}

void notified(microkit_channel channel) {
    struct net_message message;
    if (channel != CH_NET) return;
    while (ring_take(&ring, &message)) take(&message);
    microkit_notify(CH_NET);
}
