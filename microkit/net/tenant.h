/*
 * The connections of one tenant: to its peers through lwIP (connection.c), to its ledger through the ring
 * (tenant.c). The ledger knows a connection while it has a number, lwIP while it has a pcb. A connection
 * without both is free.
 */
#ifndef NET_TENANT_H
#define NET_TENANT_H

#include "lib/ring.h"
#include "net/limits.h"
#include "net/message.h"

#include <lwip/tcp.h>

/* Bytes that the peer has not acknowledged, in a slot of the ledger's half. */
struct sending {
    uint32_t slot;
    uint32_t length;
    uint32_t written; /* bytes passed to lwIP */
};

struct connection {
    struct tenant *tenant;
    struct tcp_pcb *pcb;
    uint32_t number;
    bool told_opened;
    bool is_paused; /* by the ledger */
    bool has_ended; /* the peer has ended its side */
    bool told_ended;
    bool must_close; /* the ledger has ended its side */
    bool has_shut;   /* lwIP knows that, too */
    bool is_over;    /* closed, but not yet reported to the ledger */
    bool is_owed;    /* the ledger has received bytes, and sent none since */
    bool must_acknowledge;
    uint64_t active; /* the counter when the peer last sent or acknowledged bytes */
    uint64_t
        lingers_until; /* until then the peer's bytes are dropped, after it has acknowledged everything */
    /* The peer's bytes that wait for a slot: a ring buffer of LIMIT_INPUT bytes. */
    uint8_t *input;
    uint32_t first;
    uint32_t waiting;
    uint32_t slots; /* under way to the ledger */
    struct sending sendings[NET_WINDOW];
    uint32_t sending_count;
    uint32_t acknowledged; /* bytes of the first of them */
};

struct tenant {
    const char *name;
    uint8_t *data;
    struct tcp_pcb *listener; /* from the ledger's first NET_LISTEN on */
    struct ring ring;
    unsigned channel;
    uint16_t port;
    bool must_notify;
    bool must_begin;    /* NET_BEGIN must be answered before any other message */
    bool is_listening;  /* if not, new peers wait */
    uint32_t pcbs;      /* of all states */
    uint32_t half_open; /* those of them whose peer has not answered SYN-ACK */
    uint32_t generation;
    uint32_t next; /* the connection whose turn is next */
    struct connection connections[CONNECTIONS_EACH];
    /* The slots of net's half: the free ones, and for each other slot its connection's number. */
    uint32_t free_slots[NET_SLOTS];
    uint32_t free_count;
    uint32_t owner[NET_SLOTS];
    /* The slots of the ledger's half: those in use, and the queue of those to give back. */
    bool is_used[NET_SLOTS];
    uint32_t taken[NET_SLOTS];
    uint32_t taken_first;
    uint32_t taken_count;
};

/* tenant.c */
void tenants_begin(void);
/* Takes some messages from every ledger, and sends some to the ledgers. Returns false if none had arrived. */
bool tenants_work(void);
/* Reports whether a ledger's ring is full. The ledger does not notify when it has room again. */
bool tenants_are_stalled(void);
void tenants_notify(void);
/* Retries connections that could not advance, and ends those that waited too long. Call it periodically. */
void tenants_tick(void);
/* Returns a free connection, if need be by ending one that may end, or NULL. */
struct connection *tenant_room(struct tenant *tenant);
/* Reports whether the connections that are free or may end outnumber the half-open peers. */
bool tenant_has_room(const struct tenant *tenant);
/* Gives a slot of the ledger back. */
void tenant_taken(struct tenant *tenant, uint32_t slot);

/* connection.c */
/* Returns false if peers cannot connect. */
bool connections_listen(struct tenant *tenant);
/* Acknowledges the bytes of all frames taken since the last call. */
void connections_acknowledge(void);
/* Call it periodically. */
void connections_tick(void);
void connection_send(struct connection *connection, uint32_t slot, uint32_t length);
void connection_close(struct connection *connection);
void connection_abort(struct connection *connection);
/* Removes `count` bytes from the connection's input. */
void connection_consume(struct connection *connection, uint32_t count);
/* Passes lwIP as many bytes as fit, and closes the connection when it is over. */
void connection_advance(struct connection *connection);

#endif
