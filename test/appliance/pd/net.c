/*
 * In the place of the network: sends each ledger a request when the one before is answered, over one
 * connection, and prints the answers' first lines.
 */
#include "lib/console.h"
#include "lib/domain.h"
#include "lib/ring.h"
#include "lib/stop.h"
#include "lib/text.h"
#include "net/message.h"

#include <string.h>

#define APPENDS 50u

static const microkit_channel channels[] = CH_LEDGERS;
static const uintptr_t sides[] = AT_LEDGERS_RING_MINE;
static const uintptr_t their_sides[] = AT_LEDGERS_RING_THEIRS;
static const uintptr_t regions[] = AT_LEDGERS_DATA;
static const char *const tenants[] = TENANT_NAMES;

static struct {
    struct ring ring;
    uint32_t connection;
    uint32_t requests;
    uint64_t began;
} ledgers[TENANT_COUNT];

static void put(uint32_t i, enum net_op op, uint32_t offset, uint32_t length) {
    const struct net_message message = {
        .connection = ledgers[i].connection, .op = (uint8_t)op, .offset = offset, .length = length};
    STOP_UNLESS(ring_put(&ledgers[i].ring, &message));
    microkit_notify(channels[i]);
}

static void say(uint32_t i, const char *what, uint64_t number) {
    struct text text = {0};
    text_add(&text, tenants[i]);
    text_add(&text, what);
    text_number(&text, number);
    console(text.bytes);
}

static void ask(uint32_t i) {
    struct text text = {0};
    const uint32_t number = ledgers[i].requests++;
    if (number == 0) ledgers[i].began = ticks();
    if (number > APPENDS) {
        say(i, ": appends took ms: ", (ticks() - ledgers[i].began) * 1000 / ticks_per_second());
        return;
    }
    text_add(&text, number < APPENDS ? "POST" : "GET");
    text_add(&text, " /t/");
    text_add(&text, tenants[i]);
    text_add(&text, number < APPENDS ? "/v1/append" : "/v1/checkpoint");
    text_add(&text, " HTTP/1.1\r\nhost: a\r\n");
    if (number < APPENDS) {
        text_add(&text, "content-type: application/json\r\ncontent-length: 40\r\n\r\n{\"payload_id\":\"r");
        text_number(&text, 1000 + number);
        text_add(&text, "\",\"payload\":\"text\"}\n");
    } else {
        text_add(&text, "\r\n");
    }
    memcpy((uint8_t *)regions[i], text.bytes, text.length);
    put(i, NET_DATA, 0, (uint32_t)text.length);
}

static void answered(uint32_t i, const struct net_message *message) {
    char line[100];
    STOP_UNLESS(message->offset <= NET_REGION - NET_SLOT && message->length <= NET_SLOT);
    const char *bytes = (const char *)regions[i] + message->offset;
    const uint32_t number = ledgers[i].requests;
    const uint32_t last = number > APPENDS ? message->length : 15;
    uint32_t used = 0;
    for (uint32_t at = 0; at < last && at < message->length; at++) {
        if (bytes[at] == '\n' || used == sizeof line - 1) {
            line[used] = '\0';
            if (number <= 2 || number > APPENDS) console(line);
            used = 0;
        } else if (bytes[at] >= ' ') {
            line[used++] = bytes[at];
        }
    }
    line[used] = '\0';
    if (number <= 2 || number > APPENDS) console(line);
    put(i, NET_TAKEN, message->offset, 0);
    ask(i);
}

static void take(uint32_t i, const struct net_message *message) {
    if (message->op == NET_BEGIN) put(i, NET_BEGIN, 0, 0);
    if (message->op == NET_LISTEN) {
        ledgers[i].connection++;
        ledgers[i].requests = 0;
        put(i, NET_OPENED, 0, 0);
        ask(i);
    }
    if (message->op == NET_SEND) answered(i, message);
    if (message->op == NET_CLOSE) put(i, NET_CLOSED, 0, 0);
}

void init(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) ring_begin(&ledgers[i].ring, sides[i], their_sides[i]);
}

void notified(microkit_channel channel) {
    struct net_message message;
    (void)channel;
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        while (ring_take(&ledgers[i].ring, &message)) take(i, &message);
    }
}
