/*
 * The connections of one tenant: to its peers by lwIP (connection.c), to its ledger by the ring (tenant.c). A
 * connection is known to the ledger while it has a number, and to lwIP while it has a pcb; it is free when it
 * has neither.
 */
#ifndef NET_TENANT_H
#define NET_TENANT_H

#include "lib/ring.h"
#include "net/limits.h"
#include "net/message.h"

#include <lwip/tcp.h>

/* Bytes of the ledger's that the peer has not acknowledged, in a slot of the ledger's half. */
struct sending {
    uint32_t slot;
    uint32_t length;
    uint32_t written; /* how many of them lwIP has */
};

struct connection {
    struct tenant *tenant;
    struct tcp_pcb *pcb;
    uint32_t number;
    bool told_opened;
    bool is_paused; /* by the ledger */
    bool has_ended; /* the peer has sent all that it will */
    bool told_ended;
    bool must_close; /* the ledger has sent all that it will */
    bool has_shut;   /* … and lwIP knows */
    bool is_over;    /* the ledger is to be told that it is closed */
    bool is_owed;    /* the ledger was given bytes, and has not sent any since */
    bool must_acknowledge;
    uint64_t active; /* the counter when bytes were last taken, or acknowledged */
    uint64_t
        lingers_until; /* the peer may send until then, for nothing, after all that it was sent arrived */
    /* Bytes of the peer's that wait for a slot, in a circle of LIMIT_INPUT. */
    uint8_t *input;
    uint32_t first;
    uint32_t waiting;
    uint32_t slots; /* on their way to the ledger */
    struct sending sendings[NET_WINDOW];
    uint32_t sending_count;
    uint32_t acknowledged; /* bytes of the first */
};

struct tenant {
    const char *name;
    uint8_t *data;
    struct tcp_pcb *listener; /* from when the ledger listens the first time */
    struct ring ring;
    unsigned channel;
    uint16_t port;
    bool must_notify;
    bool must_begin;    /* the ledger is to be told that all is new; nothing else before */
    bool is_listening;  /* else peers that try to connect wait */
    uint32_t pcbs;      /* of all states */
    uint32_t half_open; /* of them, those whose peer has not been heard of again */
    uint32_t generation;
    uint32_t next; /* the connection that is first in turn */
    struct connection connections[CONNECTIONS_EACH];
    /* Slots of net's half: free ones, and whose connection's number the others are of. */
    uint32_t free_slots[NET_SLOTS];
    uint32_t free_count;
    uint32_t owner[NET_SLOTS];
    /* Slots of the ledger's half: in use here, and those of them to be given back, in turn. */
    bool is_used[NET_SLOTS];
    uint32_t taken[NET_SLOTS];
    uint32_t taken_first;
    uint32_t taken_count;
};

/* tenant.c */
void tenants_begin(void);
/* Takes some messages of every ledger's and puts what there is to be told. False: there was nothing. */
bool tenants_work(void);
/* Whether a ledger's ring is full: it doesn't tell when there is room again. */
bool tenants_are_stalled(void);
void tenants_notify(void);
/* Now and then: goes on with what could not go on, and ends what has waited too long. */
void tenants_tick(void);
/* A free connection, ended for it if must be and may be; NULL: there is none. */
struct connection *tenant_room(struct tenant *tenant);
/* Whether there is one, or one could be ended, besides those for peers that are half open. */
bool tenant_has_room(const struct tenant *tenant);
/* A slot of the ledger's is free. */
void tenant_taken(struct tenant *tenant, uint32_t slot);

/* connection.c */
/* False: peers cannot connect. */
bool connections_listen(struct tenant *tenant);
/* Acknowledges what came in the frames before, as one. */
void connections_acknowledge(void);
/* Now and then. */
void connections_tick(void);
void connection_send(struct connection *connection, uint32_t slot, uint32_t length);
void connection_close(struct connection *connection);
void connection_abort(struct connection *connection);
/* `count` bytes of its input are gone. */
void connection_consume(struct connection *connection, uint32_t count);
/* Gives lwIP what there is room for; ends it when it is time. */
void connection_advance(struct connection *connection);

#endif
