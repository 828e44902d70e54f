/*
 * The messages between a ledger and the domain that holds the network card. Data is in the data region that
 * the two share: net writes the slots of the first half, the ledger those of the second half. The writer owns
 * a slot, except between a message that names it and the other's answer.
 *
 * The ledger begins with NET_BEGIN, also after a restart, and ignores all messages until the answer. After
 * NET_LISTEN, peers can connect. Numbers of connections are not reused soon; messages for a closed connection
 * are ignored.
 */
#ifndef NET_MESSAGE_H
#define NET_MESSAGE_H

#include <stdint.h>

#define NET_SLOT 8192u
/* The most connections of one ledger. */
#define NET_CONNECTIONS 64u
/* The most slots that one connection has under way to net. So no peer delays another by not reading. */
#define NET_WINDOW 4u
/* The slots of one direction, and the bytes of the region. */
#define NET_SLOTS (NET_CONNECTIONS * NET_WINDOW)
#define NET_REGION (2 * NET_SLOTS * NET_SLOT)

enum net_op {
    /* From the ledger. */
    /* The ledger has started: close all connections, accept none. Net answers NET_BEGIN; all slots are then
       free. */
    NET_BEGIN = 1,
    /* Accept connections. */
    NET_LISTEN = 2,
    /* Send `length` bytes at `offset`. Net answers NET_TAKEN, even if the connection is closed. */
    NET_SEND = 3,
    /* Close the connection when its bytes are sent. NET_CLOSED follows; it comes sooner if the peer closes
       first. */
    NET_CLOSE = 4,
    /* Send no NET_DATA of this connection, except for messages already under way. */
    NET_PAUSE = 5,
    /* Send NET_DATA again. */
    NET_RESUME = 6,
    /* Answers NET_DATA: the slot at `offset` is free. The connection may be closed. */
    NET_DONE = 7,
    /* From net. */
    NET_OPENED = 8,
    /* `length` bytes of the peer are at `offset`; the answer is NET_DONE. 0: the peer ended its side; no
     * answer.
     */
    NET_DATA = 9,
    /* The slot at `offset` is free. */
    NET_TAKEN = 10,
    /* The connection is closed. Only NET_TAKEN may follow for it. */
    NET_CLOSED = 11,
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
