/* The network: TCP of this host, through the messages of net/message.h. */
#include "machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int socket; /* 0: unused */
    uint32_t number;
    bool is_paused, has_ended, must_close;
    uint32_t waiting; /* slots to send */
    struct net_message slots[NET_WINDOW];
    uint32_t sent; /* of the first */
};

static struct ring ring;
static int listener;
static bool is_listening, must_begin;
static struct connection connections[NET_CONNECTIONS];
static bool used[NET_SLOTS];
static uint32_t numbers;

unsigned net_open(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    ring_begin(&ring, AT(net_to_ledger), AT(ledger_to_net));
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        fail("cannot listen");
    }
    return ntohs(address.sin_port);
}

static bool has_room(void) {
    return ring.produced - ring_peek(&ring.theirs->consumed) < RING_SLOTS;
}

static void put(enum net_op op, uint32_t number, uint32_t offset, uint32_t length) {
    const struct net_message message = {
        .connection = number, .op = (uint8_t)op, .offset = offset, .length = length};
    if (!ring_put(&ring, &message)) fail("the ring to the ledger is full");
    tell(TO_LEDGER);
}

static struct connection *find(uint32_t number) {
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].socket != 0 && connections[i].number == number) return &connections[i];
    }
    return NULL;
}

static void end(struct connection *connection) {
    for (uint32_t i = 0; i < connection->waiting; i++) put(NET_TAKEN, 0, connection->slots[i].offset, 0);
    close(connection->socket);
    put(NET_CLOSED, connection->number, 0, 0);
    *connection = (struct connection){0};
}

static void begin(void) {
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].socket != 0) close(connections[i].socket);
        connections[i] = (struct connection){0};
    }
    memset(used, 0, sizeof used);
    is_listening = false;
    must_begin = true;
}

static void take(const struct net_message *message) {
    struct connection *connection = find(message->connection);
    if (message->op == NET_BEGIN) begin();
    if (message->op == NET_LISTEN) is_listening = true;
    if (message->op == NET_DONE) used[message->offset / NET_SLOT] = false;
    if (message->op == NET_SEND && connection == NULL) put(NET_TAKEN, 0, message->offset, 0);
    if (connection == NULL) return;
    if (message->op == NET_SEND) {
        if (connection->waiting == NET_WINDOW) fail("more slots than a connection may have");
        connection->slots[connection->waiting++] = *message;
    }
    if (message->op == NET_CLOSE) connection->must_close = true;
    if (message->op == NET_PAUSE) connection->is_paused = true;
    if (message->op == NET_RESUME) connection->is_paused = false;
}

static void write_out(struct connection *connection) {
    while (connection->waiting > 0) {
        const struct net_message *slot = &connection->slots[0];
        const ssize_t count = send(connection->socket, memory.net_data + slot->offset + connection->sent,
                                   slot->length - connection->sent, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count < 0) {
            end(connection);
            return;
        }
        connection->sent += (uint32_t)count;
        if (connection->sent < slot->length) return;
        put(NET_TAKEN, 0, slot->offset, 0);
        connection->sent = 0;
        connection->waiting--;
        memmove(connection->slots, connection->slots + 1, connection->waiting * sizeof *slot);
    }
    if (connection->must_close) end(connection);
}

static void read_in(struct connection *connection) {
    uint32_t slot = 0;
    while (slot < NET_SLOTS && used[slot]) slot++;
    if (slot == NET_SLOTS || connection->is_paused || connection->has_ended) return;
    const ssize_t count = recv(connection->socket, memory.net_data + slot * NET_SLOT, NET_SLOT, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count < 0) {
        end(connection);
        return;
    }
    if (count == 0) {
        connection->has_ended = true;
    } else {
        used[slot] = true;
    }
    put(NET_DATA, connection->number, slot * NET_SLOT, (uint32_t)count);
}

static void accept_one(void) {
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].socket != 0) continue;
        const int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (socket < 0) return;
        connections[i] = (struct connection){.socket = socket, .number = ++numbers};
        put(NET_OPENED, connections[i].number, 0, 0);
        return;
    }
}

/* Room for the events of one connection. */
static bool has_much_room(void) {
    return ring.produced - ring_peek(&ring.theirs->consumed) + NET_WINDOW + 2 < RING_SLOTS;
}

void net_answer(void) {
    struct net_message message;
    while (has_room() && ring_take(&ring, &message)) take(&message);
    if (must_begin && has_room()) {
        put(NET_BEGIN, 0, 0, 0);
        must_begin = false;
    }
    if (must_begin) return;
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        if (connections[i].socket != 0 && has_much_room()) write_out(&connections[i]);
        if (connections[i].socket != 0 && has_much_room()) read_in(&connections[i]);
    }
    if (is_listening && has_much_room()) accept_one();
}

void net_wait(int milliseconds) {
    struct pollfd files[NET_CONNECTIONS + 1];
    nfds_t count = 0;
    if (is_listening) files[count++] = (struct pollfd){listener, POLLIN, 0};
    for (uint32_t i = 0; i < NET_CONNECTIONS; i++) {
        const struct connection *connection = &connections[i];
        const bool reads = !connection->is_paused && !connection->has_ended;
        const short events = (short)((reads ? POLLIN : 0) | (connection->waiting > 0 ? POLLOUT : 0));
        if (connection->socket != 0 && events != 0)
            files[count++] = (struct pollfd){connection->socket, events, 0};
    }
    (void)poll(files, count, milliseconds);
}
