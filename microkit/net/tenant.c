/*
 * A tenant's ring: the messages from its ledger, and those to it. Messages to the ledger follow from the
 * state of slots and connections and are not queued, so a ledger that takes none costs no memory, and delays
 * only its own peers.
 */
#include "net/tenant.h"

#include "lib/console.h"
#include "lib/domain.h"
#include "lib/text.h"

#include <string.h>

/* Messages to take from one ledger before the next one's turn. */
#define MESSAGES_IN_TURN 16u
/* If the table is full, a connection that was idle for so long may be ended, */
#define IDLE_MS 1000u
/* or for so long if the ledger owes it an answer, or the peer has not read everything. */
#define STUCK_MS 10000u

static const uintptr_t regions[] = AT_LEDGERS_DATA;
static const uintptr_t sides_mine[] = AT_LEDGERS_RING_MINE;
static const uintptr_t sides_theirs[] = AT_LEDGERS_RING_THEIRS;
static const microkit_channel channels[] = CH_LEDGERS;
static const char *const names[] = TENANT_NAMES;
static const uint16_t ports[] = TENANT_PORTS;

_Static_assert(NET_REGION == SIZE_LEDGERS_DATA, "the region holds all slots");
_Static_assert((size_t)LIMIT_CONNECTIONS *LIMIT_INPUT <= SIZE_INPUT, "there is input for all connections");

static struct tenant tenants[TENANT_COUNT];

static bool is_free(const struct connection *connection) {
    return connection->number == 0 && connection->pcb == NULL;
}

static struct connection *find_connection(struct tenant *tenant, uint32_t number) {
    const uint32_t index = number & 0xff;
    if (number == 0 || index >= CONNECTIONS_EACH || tenant->connections[index].number != number) return NULL;
    return &tenant->connections[index];
}

/* Frees all slots of both sides. */
static void free_all_slots(struct tenant *tenant) {
    for (uint32_t i = 0; i < NET_SLOTS; i++) tenant->free_slots[i] = i;
    tenant->free_count = NET_SLOTS;
    memset(tenant->owner, 0, sizeof tenant->owner);
    memset(tenant->is_used, 0, sizeof tenant->is_used);
    tenant->taken_first = tenant->taken_count = 0;
}

void tenants_begin(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        struct tenant *tenant = &tenants[i];
        tenant->name = names[i];
        tenant->channel = channels[i];
        tenant->port = ports[i];
        tenant->data = (uint8_t *)regions[i];
        ring_begin(&tenant->ring, sides_mine[i], sides_theirs[i]);
        free_all_slots(tenant);
        for (uint32_t j = 0; j < CONNECTIONS_EACH; j++) {
            tenant->connections[j].tenant = tenant;
            tenant->connections[j].input =
                (uint8_t *)AT_INPUT + (size_t)(i * CONNECTIONS_EACH + j) * LIMIT_INPUT;
        }
    }
}

void tenant_taken(struct tenant *tenant, uint32_t slot) {
    tenant->taken[(tenant->taken_first + tenant->taken_count++) % NET_SLOTS] = slot;
}

/* ---- to the ledger */

static bool put_message(struct tenant *tenant, enum net_op op, uint32_t number, uint32_t offset,
                        uint32_t length) {
    const struct net_message message = {
        .connection = number, .op = (uint8_t)op, .offset = offset, .length = length};
    if (!ring_put(&tenant->ring, &message)) return false;
    tenant->must_notify = true;
    return true;
}

/* Copies waiting bytes to a slot, and sends them to the ledger. */
static bool put_data(struct tenant *tenant, struct connection *connection) {
    const uint32_t slot = tenant->free_slots[tenant->free_count - 1];
    const uint32_t count = connection->waiting < NET_SLOT ? connection->waiting : NET_SLOT;
    const uint32_t until_end = LIMIT_INPUT - connection->first;
    const uint32_t before = count < until_end ? count : until_end;
    uint8_t *to = tenant->data + slot * NET_SLOT;
    memcpy(to, connection->input + connection->first, before);
    memcpy(to + before, connection->input, count - before);
    if (!put_message(tenant, NET_DATA, connection->number, slot * NET_SLOT, count)) return false;
    tenant->free_count--;
    tenant->owner[slot] = connection->number;
    connection->slots++;
    connection_consume(connection, count);
    return true;
}

enum told { NOTHING, SOMETHING, NO_ROOM };

static enum told told_or_full(bool has) {
    return has ? SOMETHING : NO_ROOM;
}

/* Sends the next message of a connection. */
static enum told send_connection_message(struct tenant *tenant, struct connection *connection) {
    const uint32_t number = connection->number;
    if (number == 0) return NOTHING;
    if (!connection->told_opened && connection->is_over) {
        connection->number = 0;
        return NOTHING;
    }
    if (!connection->told_opened) {
        connection->told_opened = put_message(tenant, NET_OPENED, number, 0, 0);
        return told_or_full(connection->told_opened);
    }
    if (connection->is_over) {
        if (!put_message(tenant, NET_CLOSED, number, 0, 0)) return NO_ROOM;
        connection->number = 0;
        return SOMETHING;
    }
    if (connection->is_paused || connection->must_close) return NOTHING;
    if (connection->waiting > 0) {
        if (connection->slots >= NET_WINDOW || tenant->free_count == 0) return NOTHING;
        return told_or_full(put_data(tenant, connection));
    }
    if (!connection->has_ended || connection->told_ended) return NOTHING;
    connection->told_ended = put_message(tenant, NET_DATA, number, 0, 0);
    return told_or_full(connection->told_ended);
}

static enum told send_taken(struct tenant *tenant) {
    if (tenant->taken_count == 0) return NOTHING;
    const uint32_t slot = tenant->taken[tenant->taken_first];
    if (!put_message(tenant, NET_TAKEN, 0, (NET_SLOTS + slot) * NET_SLOT, 0)) return NO_ROOM;
    tenant->is_used[slot] = false;
    tenant->taken_first = (tenant->taken_first + 1) % NET_SLOTS;
    tenant->taken_count--;
    return SOMETHING;
}

/* Sends as many messages as fit; connections take turns. */
static enum told send_messages(struct tenant *tenant) {
    if (tenant->must_begin) {
        if (!put_message(tenant, NET_BEGIN, 0, 0, 0)) return NO_ROOM;
        tenant->must_begin = false;
    }
    enum told last;
    while ((last = send_taken(tenant)) == SOMETHING) {
    }
    if (last == NO_ROOM) return NO_ROOM;
    uint32_t quiet = 0;
    bool has = false;
    while (quiet < CONNECTIONS_EACH) {
        last = send_connection_message(tenant, &tenant->connections[tenant->next]);
        if (last == NO_ROOM) return NO_ROOM;
        has = has || last == SOMETHING;
        quiet = last == SOMETHING ? 0 : quiet + 1;
        tenant->next = (tenant->next + 1) % CONNECTIONS_EACH;
    }
    return has ? SOMETHING : NOTHING;
}

/* ---- from the ledger */

static void restart_ledger(struct tenant *tenant) {
    tenant->is_listening = false;
    for (uint32_t i = 0; i < CONNECTIONS_EACH; i++) {
        struct connection *connection = &tenant->connections[i];
        if (!is_free(connection)) connection_abort(connection);
        connection->number = 0;
    }
    free_all_slots(tenant);
    tenant->must_begin = true;
}

static void start_listening(struct tenant *tenant) {
    tenant->is_listening = true;
    if (tenant->listener != NULL || tenant->port == 0) return;
    struct text text = {0};
    text_add(&text, tenant->name);
    text_add(&text, connections_listen(tenant) ? " has port " : " cannot have port ");
    text_number(&text, tenant->port);
    console(text.bytes);
}

static void send_to_peer(struct tenant *tenant, const struct net_message *message) {
    const uint32_t slot = message->offset / NET_SLOT - NET_SLOTS;
    if (message->offset % NET_SLOT != 0 || slot >= NET_SLOTS || message->length > NET_SLOT) return;
    if (tenant->is_used[slot]) return;
    tenant->is_used[slot] = true;
    struct connection *connection = find_connection(tenant, message->connection);
    const bool can = connection != NULL && connection->pcb != NULL && !connection->must_close;
    if (!can || message->length == 0) {
        tenant_taken(tenant, slot);
    } else if (connection->sending_count == NET_WINDOW) {
        tenant_taken(tenant, slot);
        connection_abort(connection);
    } else {
        connection_send(connection, slot, message->length);
    }
}

static void free_slot(struct tenant *tenant, uint32_t offset) {
    const uint32_t slot = offset / NET_SLOT;
    if (offset % NET_SLOT != 0 || slot >= NET_SLOTS || tenant->owner[slot] == 0) return;
    struct connection *connection = find_connection(tenant, tenant->owner[slot]);
    if (connection != NULL) connection->slots--;
    tenant->owner[slot] = 0;
    tenant->free_slots[tenant->free_count++] = slot;
}

static void take_message(struct tenant *tenant, const struct net_message *message) {
    struct connection *connection = find_connection(tenant, message->connection);
    switch (message->op) {
    case NET_BEGIN:
        restart_ledger(tenant);
        return;
    case NET_LISTEN:
        start_listening(tenant);
        return;
    case NET_SEND:
        send_to_peer(tenant, message);
        return;
    case NET_DONE:
        free_slot(tenant, message->offset);
        return;
    case NET_PAUSE:
    case NET_RESUME:
        if (connection != NULL) connection->is_paused = message->op == NET_PAUSE;
        return;
    case NET_CLOSE:
        if (connection != NULL && !connection->must_close) connection_close(connection);
        return;
    default:
        return;
    }
}

static bool take_messages(struct tenant *tenant) {
    struct net_message message;
    const bool was_full = ring_peek(&tenant->ring.theirs->produced) - tenant->ring.consumed == RING_SLOTS;
    uint32_t count = 0;
    while (count < MESSAGES_IN_TURN && ring_take(&tenant->ring, &message)) {
        take_message(tenant, &message);
        count++;
    }
    if (was_full && count > 0) tenant->must_notify = true;
    return count > 0;
}

static bool is_stalled;

bool tenants_work(void) {
    bool more = false;
    is_stalled = false;
    for (uint32_t i = 0; i < TENANT_COUNT; i++) more = take_messages(&tenants[i]) || more;
    for (uint32_t i = 0; i < TENANT_COUNT; i++)
        is_stalled = send_messages(&tenants[i]) == NO_ROOM || is_stalled;
    return more;
}

bool tenants_are_stalled(void) {
    return is_stalled;
}

void tenants_notify(void) {
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        if (tenants[i].must_notify) microkit_notify(tenants[i].channel);
        tenants[i].must_notify = false;
    }
}

void tenants_tick(void) {
    connections_tick();
    for (uint32_t i = 0; i < TENANT_COUNT; i++) {
        for (uint32_t j = 0; j < CONNECTIONS_EACH; j++) connection_advance(&tenants[i].connections[j]);
    }
}

/* ---- room for one more */

static uint64_t idle_ms(const struct connection *connection) {
    return (ticks() - connection->active) / (ticks_per_second() / 1000);
}

static bool may_end_connection(const struct connection *connection) {
    const bool is_busy = connection->is_owed || connection->sending_count > 0 || connection->waiting > 0;
    return connection->is_over || idle_ms(connection) >= (is_busy ? STUCK_MS : IDLE_MS);
}

/* Returns a free connection, or else the one to end: a finished one, or the one that has been idle longest.
 */
static uint32_t choose_connection(const struct tenant *tenant) {
    uint32_t best = CONNECTIONS_EACH;
    for (uint32_t i = 0; i < CONNECTIONS_EACH; i++) {
        const struct connection *connection = &tenant->connections[i];
        if (is_free(connection)) return i;
        if (!may_end_connection(connection)) continue;
        if (best < CONNECTIONS_EACH && tenant->connections[best].is_over) continue;
        if (best == CONNECTIONS_EACH || connection->is_over ||
            connection->active < tenant->connections[best].active)
            best = i;
    }
    return best;
}

bool tenant_has_room(const struct tenant *tenant) {
    uint32_t room = 0;
    if (!tenant->is_listening) return false;
    for (uint32_t i = 0; i < CONNECTIONS_EACH; i++) {
        const struct connection *connection = &tenant->connections[i];
        if (is_free(connection) || may_end_connection(connection)) room++;
    }
    return room > tenant->half_open;
}

struct connection *tenant_room(struct tenant *tenant) {
    const uint32_t index = choose_connection(tenant);
    if (index == CONNECTIONS_EACH || !tenant->is_listening) return NULL;
    struct connection *connection = &tenant->connections[index];
    if (!is_free(connection)) connection_abort(connection);
    /* The ledger must first learn that the connection is closed. */
    if (connection->number != 0) (void)send_connection_message(tenant, connection);
    return is_free(connection) ? connection : NULL;
}
