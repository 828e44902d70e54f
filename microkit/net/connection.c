/*
 * One connection's peer: lwIP's callbacks. Received bytes are copied out of lwIP's memory at once; TCP's
 * window limits them until the ledger takes them. Bytes to send stay in the ledger's slots until the peer
 * acknowledges them.
 */
#include "lib/domain.h"
#include "net/tenant.h"

#include <lwip/priv/tcp_priv.h>

#include <string.h>

/* Peers that ask for smaller segments are refused. */
#define SMALLEST_SEGMENT 64u
#define SEGMENTS_AT_ONCE 4u
#define LINGER_MS 2000u
/*
 * In lwIP's units of half a second: how long a peer may take to answer SYN-ACK before another may have its
 * place, and the longest wait before a retransmission.
 */
#define HALF_OPEN_TIME 2u
#define LONGEST_WAIT 120
#define KEEP_IDLE_MS 60000u
#define KEEP_INTERVAL_MS 10000u
#define KEEP_COUNT 6u

/* The extra argument of a pcb is its tenant; the lowest bit is set while the pcb is half open. */
#define HALF_OPEN ((uintptr_t)1)

_Static_assert(sizeof(struct tcp_pcb) <= 320, "a pcb fits a block of net/heap.c");

static struct connection *acknowledge[LIMIT_CONNECTIONS];
static uint32_t acknowledge_count;

/* ---- the number of pcbs */

static struct tenant *tenant_of(const void *argument) {
    return (struct tenant *)((uintptr_t)argument & ~HALF_OPEN);
}

static bool is_half_open(const void *argument) {
    return ((uintptr_t)argument & HALF_OPEN) != 0;
}

static void on_destroyed(u8_t id, void *argument) {
    (void)id;
    tenant_of(argument)->pcbs--;
    if (is_half_open(argument)) tenant_of(argument)->half_open--;
}

/* Ends the pcb that has been half open the longest, if that time is long enough. */
static bool end_half_open(const struct tenant *tenant) {
    struct tcp_pcb *oldest = NULL;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        const void *argument = tcp_ext_arg_get(pcb, 0);
        if (pcb->state != SYN_RCVD || tenant_of(argument) != tenant || !is_half_open(argument)) continue;
        if (oldest == NULL || tcp_ticks - pcb->tmr > tcp_ticks - oldest->tmr) oldest = pcb;
    }
    if (oldest == NULL || tcp_ticks - oldest->tmr < HALF_OPEN_TIME) return false;
    tcp_abort(oldest);
    return true;
}

/*
 * Ends a pcb without a connection: the oldest in TIME-WAIT, or else one whose last bytes the peer has not
 * acknowledged.
 */
static bool end_leftover(const struct tenant *tenant) {
    struct tcp_pcb *oldest = NULL;
    for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb != NULL; pcb = pcb->next) {
        if (tenant_of(tcp_ext_arg_get(pcb, 0)) != tenant) continue;
        if (oldest == NULL || tcp_ticks - pcb->tmr > tcp_ticks - oldest->tmr) oldest = pcb;
    }
    for (struct tcp_pcb *pcb = tcp_active_pcbs; oldest == NULL && pcb != NULL; pcb = pcb->next) {
        const void *argument = tcp_ext_arg_get(pcb, 0);
        if (tenant_of(argument) == tenant && !is_half_open(argument) && pcb->callback_arg == NULL)
            oldest = pcb;
    }
    if (oldest == NULL) return false;
    tcp_abort(oldest);
    return true;
}

/* Accepts a SYN. If there is no room, lwIP ignores the SYN, and the peer tries again. */
static err_t on_syn(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb) {
    static const struct tcp_ext_arg_callbacks callbacks = {.destroy = on_destroyed};
    struct tenant *tenant = listener->callback_arg;
    if (!tenant_has_room(tenant)) return ERR_MEM;
    if (tenant->half_open >= LIMIT_HALF_OPEN && !end_half_open(tenant)) return ERR_MEM;
    if (tenant->pcbs >= LIMIT_PCBS && !end_leftover(tenant)) return ERR_MEM;
    tenant->pcbs++;
    tenant->half_open++;
    tcp_ext_arg_set(pcb, id, (void *)((uintptr_t)tenant | HALF_OPEN));
    tcp_ext_arg_set_callbacks(pcb, id, &callbacks);
    return ERR_OK;
}

/* ---- to the peer */

/* Detaches a connection from its pcb: lwIP calls no function for it again. */
static struct tcp_pcb *detach_pcb(struct connection *connection) {
    struct tcp_pcb *pcb = connection->pcb;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    connection->pcb = NULL;
    return pcb;
}

static void drop_connection(struct connection *connection) {
    for (uint32_t i = 0; i < connection->sending_count; i++)
        tenant_taken(connection->tenant, connection->sendings[i].slot);
    connection->sending_count = 0;
    connection->waiting = 0;
    connection->is_over = true;
}

static void write_slots(struct connection *connection) {
    for (uint32_t i = 0; i < connection->sending_count; i++) {
        struct sending *sending = &connection->sendings[i];
        const uint8_t *bytes = connection->tenant->data + (NET_SLOTS + sending->slot) * NET_SLOT;
        while (sending->written < sending->length) {
            uint32_t count = sending->length - sending->written;
            const uint32_t most = SEGMENTS_AT_ONCE * tcp_mss(connection->pcb);
            if (count > most) count = most;
            if (count > tcp_sndbuf(connection->pcb)) count = tcp_sndbuf(connection->pcb);
            if (count == 0 || tcp_write(connection->pcb, bytes + sending->written, (u16_t)count, 0) != ERR_OK)
                return;
            sending->written += count;
        }
    }
}

static bool has_written_all(const struct connection *connection) {
    const uint32_t count = connection->sending_count;
    return count == 0 || connection->sendings[count - 1].written == connection->sendings[count - 1].length;
}

void connection_advance(struct connection *connection) {
    if (connection->pcb == NULL) return;
    write_slots(connection);
    if (connection->must_close && !connection->has_shut && has_written_all(connection))
        connection->has_shut = tcp_shutdown(connection->pcb, 0, 1) == ERR_OK;
    if (connection->has_shut && connection->sending_count == 0 && !connection->is_over) {
        connection->is_over = true;
        connection->lingers_until = ticks() + ticks_per_second() * LINGER_MS / 1000;
    }
    if (connection->is_over && (connection->has_ended || ticks() >= connection->lingers_until)) {
        tcp_close(detach_pcb(connection));
        return;
    }
    tcp_output(connection->pcb);
}

void connection_send(struct connection *connection, uint32_t slot, uint32_t length) {
    connection->sendings[connection->sending_count++] = (struct sending){slot, length, 0};
    connection->is_owed = false;
    connection_advance(connection);
}

void connection_close(struct connection *connection) {
    connection->must_close = true;
    if (connection->waiting > 0) connection_consume(connection, connection->waiting);
    connection_advance(connection);
}

void connection_abort(struct connection *connection) {
    if (connection->pcb != NULL) tcp_abort(detach_pcb(connection));
    drop_connection(connection);
}

void connection_consume(struct connection *connection, uint32_t count) {
    connection->first = (connection->first + count) % LIMIT_INPUT;
    connection->waiting -= count;
    if (connection->pcb != NULL) tcp_recved(connection->pcb, (u16_t)count);
}

void connections_acknowledge(void) {
    for (uint32_t i = 0; i < acknowledge_count; i++) {
        struct connection *connection = acknowledge[i];
        connection->must_acknowledge = false;
        if (connection->pcb == NULL || (connection->pcb->flags & TF_ACK_DELAY) == 0) continue;
        tcp_ack_now(connection->pcb);
        tcp_output(connection->pcb);
    }
    acknowledge_count = 0;
}

/* Limits retransmission timeouts: lwIP doubles them for a peer that acknowledges late, and then gives up. */
void connections_tick(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->rto > LONGEST_WAIT) pcb->rto = LONGEST_WAIT;
    }
}

/* ---- from the peer */

static void take_bytes(struct connection *connection, const struct pbuf *buffer) {
    for (; buffer != NULL; buffer = buffer->next) {
        const uint32_t at = (connection->first + connection->waiting) % LIMIT_INPUT;
        const uint32_t until_end = LIMIT_INPUT - at;
        const uint32_t before = buffer->len < until_end ? buffer->len : until_end;
        memcpy(connection->input + at, buffer->payload, before);
        memcpy(connection->input, (const uint8_t *)buffer->payload + before, buffer->len - before);
        connection->waiting += buffer->len;
    }
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *buffer, err_t error) {
    struct connection *connection = argument;
    (void)error;
    if (buffer == NULL) {
        connection->has_ended = true;
        connection_advance(connection);
        return ERR_OK;
    }
    const u16_t count = buffer->tot_len;
    if (connection->must_close) {
        tcp_recved(pcb, count);
        pbuf_free(buffer);
        return ERR_OK;
    }
    /* lwIP accepts no more than the window. */
    STOP_UNLESS(count <= LIMIT_INPUT - connection->waiting);
    take_bytes(connection, buffer);
    pbuf_free(buffer);
    connection->active = ticks();
    connection->is_owed = true;
    if (!connection->must_acknowledge) acknowledge[acknowledge_count++] = connection;
    connection->must_acknowledge = true;
    return ERR_OK;
}

static err_t on_sent(void *argument, struct tcp_pcb *pcb, u16_t count) {
    struct connection *connection = argument;
    (void)pcb;
    connection->active = ticks();
    connection->acknowledged += count;
    uint32_t done = 0;
    while (done < connection->sending_count &&
           connection->acknowledged >= connection->sendings[done].length) {
        connection->acknowledged -= connection->sendings[done].length;
        tenant_taken(connection->tenant, connection->sendings[done++].slot);
    }
    connection->sending_count -= done;
    memmove(connection->sendings, connection->sendings + done,
            connection->sending_count * sizeof *connection->sendings);
    connection_advance(connection);
    return ERR_OK;
}

/* Handles an error; lwIP has freed the pcb. */
static void on_error(void *argument, err_t error) {
    struct connection *connection = argument;
    (void)error;
    connection->pcb = NULL;
    drop_connection(connection);
}

static void keep_alive(struct tcp_pcb *pcb) {
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = KEEP_IDLE_MS;
    pcb->keep_intvl = KEEP_INTERVAL_MS;
    pcb->keep_cnt = KEEP_COUNT;
}

static err_t on_accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct tenant *tenant = argument;
    if (pcb == NULL || error != ERR_OK) return ERR_VAL;
    tcp_ext_arg_set(pcb, 0, tenant);
    tenant->half_open--;
    struct connection *connection = tcp_mss(pcb) < SMALLEST_SEGMENT ? NULL : tenant_room(tenant);
    if (connection == NULL) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    const uint32_t index = (uint32_t)(connection - tenant->connections);
    tenant->generation = tenant->generation % 0xffffff + 1;
    *connection = (struct connection){
        .tenant = tenant,
        .pcb = pcb,
        .number = tenant->generation << 8 | index,
        .must_acknowledge = connection->must_acknowledge,
        .active = ticks(),
        .input = connection->input,
    };
    tcp_arg(pcb, connection);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    keep_alive(pcb);
    return ERR_OK;
}

bool connections_listen(struct tenant *tenant) {
    static const struct tcp_ext_arg_callbacks callbacks = {.passive_open = on_syn};
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL) return false;
    if (tcp_bind(pcb, IP_ADDR_ANY, tenant->port) != ERR_OK) {
        tcp_close(pcb);
        return false;
    }
    struct tcp_pcb *listener = tcp_listen(pcb);
    if (listener == NULL) {
        tcp_close(pcb);
        return false;
    }
    tcp_arg(listener, tenant);
    tcp_accept(listener, on_accepted);
    tcp_ext_arg_set_callbacks(listener, 0, &callbacks);
    tenant->listener = listener;
    return true;
}
