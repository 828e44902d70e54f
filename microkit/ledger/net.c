#include "ledger/net.h"

#include "ledger/machine.h"
#include "ledger/service.h"
#include "lib/ring.h"
#include "net/message.h"

#include <string.h>

/* Pieces that wait to be sent. The bundle sends a few, then waits for serviceFs.writable(). */
#define PIECES 1024u
#define NOBODY UINT32_MAX
/* The ledger's slots are the second half of the data region. */
#define MINE (NET_SLOTS * NET_SLOT)

/* Waiting bytes, in the engine's memory. */
struct piece {
    struct engine_bytes bytes;
    size_t at; /* bytes already sent */
    uint32_t next;
};

struct connection {
    uint32_t number; /* 0: unused */
    bool may_come, told_may_come;
    bool must_close, told_close;
    bool is_waiting; /* call serviceFs.writable() when no piece waits */
    uint32_t slots;  /* in use by net */
    uint32_t first, last;
};

static struct ring ring;
static uint8_t *data;
static bool told_begin, has_begun, must_listen, told_listen, has_put;
static struct connection connections[NET_CONNECTIONS];
static struct piece pieces[PIECES];
static uint32_t free_piece;
static struct engine *engine;
static struct {
    bool is_used; /* by net */
    uint32_t connection;
} slots[NET_SLOTS];
/* Slots of net whose bytes were read, but not yet given back. */
static bool taken[NET_SLOTS];
static uint32_t taken_count;

void net_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region) {
    ring_resume(&ring, mine, theirs);
    data = (uint8_t *)region;
    for (uint32_t i = 0; i < PIECES; i++) {
        pieces[i].next = i + 1 < PIECES ? i + 1 : NOBODY;
    }
}

void net_listen(void) {
    must_listen = true;
}

/* ---- to net */

static bool put_message(enum net_op op, uint32_t connection, uint32_t offset, uint32_t length) {
    const struct net_message message = {
        .connection = connection, .op = (uint8_t)op, .offset = offset, .length = length};
    if (!ring_put(&ring, &message)) return false;
    has_put = true;
    return true;
}

static struct connection *find_connection(uint32_t number) {
    for (uint32_t i = 0; number != 0 && i < NET_CONNECTIONS; i++) {
        if (connections[i].number == number) return &connections[i];
    }
    return NULL;
}

static void drop_piece(struct connection *connection) {
    const uint32_t index = connection->first;
    struct piece *piece = &pieces[index];
    connection->first = piece->next;
    engine_give_back(engine, piece->bytes.room);
    piece->next = free_piece;
    free_piece = index;
}

static uint32_t free_slot(void) {
    for (uint32_t i = 0; i < NET_SLOTS; i++) {
        if (!slots[i].is_used) return i;
    }
    return NOBODY;
}

/* Sends the next bytes of the first piece. Returns false if there is no room. */
static bool send_from_piece(struct connection *connection) {
    struct piece *piece = &pieces[connection->first];
    const uint32_t slot = free_slot();
    if (slot == NOBODY) return false;
    const size_t left = piece->bytes.length - piece->at;
    const uint32_t count = left < NET_SLOT ? (uint32_t)left : NET_SLOT;
    const uint32_t offset = MINE + slot * NET_SLOT;
    memcpy(data + offset, piece->bytes.at + piece->at, count);
    if (!put_message(NET_SEND, connection->number, offset, count)) return false;
    slots[slot].is_used = true;
    slots[slot].connection = connection->number;
    connection->slots++;
    piece->at += count;
    if (piece->at == piece->bytes.length) drop_piece(connection);
    return true;
}

/* Sends net the messages of a connection that fit. */
static void pump_connection(struct connection *connection) {
    if (connection->told_close) return;
    if (connection->may_come != connection->told_may_come &&
        put_message(connection->may_come ? NET_RESUME : NET_PAUSE, connection->number, 0, 0)) {
        connection->told_may_come = connection->may_come;
    }
    while (connection->first != NOBODY && connection->slots < NET_WINDOW && send_from_piece(connection)) {
    }
    if (connection->must_close && connection->first == NOBODY) {
        connection->told_close = put_message(NET_CLOSE, connection->number, 0, 0);
    }
}

static void pump_all(void) {
    for (uint32_t i = 0; i < NET_SLOTS && taken_count > 0; i++) {
        if (!taken[i]) continue;
        if (!put_message(NET_DONE, 0, i * NET_SLOT, 0)) return;
        taken[i] = false;
        taken_count--;
    }
    if (must_listen && !told_listen) told_listen = put_message(NET_LISTEN, 0, 0, 0);
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].number != 0) pump_connection(&connections[i]);
    }
}

enum machine_sent machine_send(struct engine *of, uint32_t number, const struct engine_bytes *bytes) {
    struct connection *connection = find_connection(number);
    engine = of;
    if (connection == NULL || connection->must_close || bytes->length == 0) {
        engine_give_back(engine, bytes->room);
        return MACHINE_SENT;
    }
    const uint32_t index = free_piece;
    if (index == NOBODY) {
        engine_give_back(engine, bytes->room);
        return MACHINE_FULL;
    }
    free_piece = pieces[index].next;
    pieces[index] = (struct piece){*bytes, 0, NOBODY};
    if (connection->first == NOBODY) {
        connection->first = index;
    } else {
        pieces[connection->last].next = index;
    }
    connection->last = index;
    pump_connection(connection);
    if (connection->first != NOBODY) connection->is_waiting = true;
    return connection->is_waiting ? MACHINE_WAITING : MACHINE_SENT;
}

void machine_close(uint32_t number) {
    struct connection *connection = find_connection(number);
    if (connection == NULL) return;
    connection->must_close = true;
    connection->may_come = true;
    pump_connection(connection);
}

void machine_listen(uint32_t number, bool may) {
    struct connection *connection = find_connection(number);
    if (connection == NULL || connection->must_close) return;
    connection->may_come = may;
    pump_connection(connection);
}

/* ---- from net */

static void open_connection(uint32_t number) {
    struct connection *connection = NULL;
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].number == 0) connection = &connections[i];
    }
    if (number == 0 || connection == NULL || find_connection(number) != NULL) return;
    *connection = (struct connection){
        .number = number, .may_come = true, .told_may_come = true, .first = NOBODY, .last = NOBODY};
    service_opened(number);
}

static void take_data(const struct net_message *message) {
    const uint32_t slot = message->offset / NET_SLOT;
    const bool is_known = find_connection(message->connection) != NULL;
    if (message->length == 0) {
        if (is_known) service_data(message->connection, NULL, 0);
        return;
    }
    if (message->offset % NET_SLOT != 0 || slot >= NET_SLOTS || message->length > NET_SLOT || taken[slot])
        return;
    taken[slot] = true;
    taken_count++;
    if (is_known) service_data(message->connection, data + message->offset, message->length);
}

static void release_slot(uint32_t offset) {
    const uint32_t slot = (offset - MINE) / NET_SLOT;
    if (offset < MINE || offset % NET_SLOT != 0 || slot >= NET_SLOTS || !slots[slot].is_used) return;
    struct connection *connection = find_connection(slots[slot].connection);
    if (connection != NULL && connection->slots > 0) connection->slots--;
    slots[slot].is_used = false;
}

static void close_connection(uint32_t number) {
    struct connection *connection = find_connection(number);
    if (connection == NULL) return;
    while (connection->first != NOBODY) drop_piece(connection);
    connection->number = 0;
    service_closed(number);
}

static void take_message(const struct net_message *message) {
    if (message->op == NET_BEGIN) has_begun = true;
    if (!has_begun) return;
    if (message->op == NET_OPENED) open_connection(message->connection);
    if (message->op == NET_DATA) take_data(message);
    if (message->op == NET_TAKEN) release_slot(message->offset);
    if (message->op == NET_CLOSED) close_connection(message->connection);
}

/* Calls serviceFs.writable() for connections whose pieces are all sent. */
static void tell_writable(void) {
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        if (connection->number == 0 || !connection->is_waiting || connection->first != NOBODY) continue;
        connection->is_waiting = false;
        if (!connection->must_close) service_writable(connection->number);
    }
}

bool net_work(void) {
    struct net_message message;
    bool has_come = false;
    if (!told_begin) told_begin = put_message(NET_BEGIN, 0, 0, 0);
    while (told_begin && ring_take(&ring, &message)) {
        has_come = true;
        take_message(&message);
        pump_all();
        tell_writable();
    }
    if (has_begun) pump_all();
    return has_come;
}

bool net_is_full(void) {
    return ring.produced - ring_peek(&ring.theirs->consumed) >= RING_SLOTS;
}

bool net_has_put(void) {
    const bool has = has_put;
    has_put = false;
    return has;
}
