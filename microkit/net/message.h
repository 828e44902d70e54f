/*
 * The messages between a ledger and the domain that holds the network card. Bytes are in the data region that
 * the two share: the first half is in slots that net writes, the second half in slots that the ledger writes.
 * A slot belongs to who writes it, but from the message that names it until the other's answer.
 *
 * The ledger begins with NET_BEGIN, whatever was before, and passes over what comes until that is answered;
 * after NET_LISTEN peers can connect. A connection's number is not given to another one soon: a message for
 * one that is gone is passed over.
 */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <stdint.h>

#define NET_SLOT 8192u
/* Connections of one ledger at a time. */
#define NET_CONNECTIONS 64u
/* Slots of one connection that may be on their way to net: a peer that takes nothing holds up nobody else. */
#define NET_WINDOW 4u
/* Slots of one direction, and bytes of the region. */
#define NET_SLOTS (NET_CONNECTIONS * NET_WINDOW)
#define NET_REGION (2 * NET_SLOTS * NET_SLOT)

enum net_op {
    /* From the ledger. */
    NET_BEGIN = 1,  /* it has just started: end all connections, accept none. Answered by NET_BEGIN; all slots
                       are free then. */
    NET_LISTEN = 2, /* accept connections */
    NET_SEND = 3,   /* `length` bytes at `offset`. Answered by NET_TAKEN, also when the connection is gone. */
    NET_CLOSE =
        4, /* end it when what was sent is out; NET_CLOSED follows, perhaps sooner if the peer ends it */
    NET_PAUSE = 5,  /* no more NET_DATA of it, but what is on its way already, … */
    NET_RESUME = 6, /* … and again */
    NET_DONE = 7,   /* the answer to NET_DATA: the slot at `offset` is free; the connection may be gone */
    /* From net. */
    NET_OPENED = 8,
    NET_DATA = 9,    /* `length` bytes of the peer at `offset`, to be answered by NET_DONE; 0: it has sent all
                        that it will, no answer */
    NET_TAKEN = 10,  /* the slot at `offset` is free */
    NET_CLOSED = 11, /* the connection is gone; the last message of it but NET_TAKEN */
};

struct net_message {
    uint32_t connection; /* 0 in NET_BEGIN and NET_LISTEN */
    uint8_t op;
    uint8_t zero[3];
    uint32_t offset;
    uint32_t length;
    uint8_t unused[48];
};

_Static_assert(sizeof(struct net_message) == 64, "one message");

#endif
