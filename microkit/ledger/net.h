/* The ledger's connections: passes the bundle's netSend() and the like to net, and net's messages back. */
#ifndef LEDGER_NET_H
#define LEDGER_NET_H

#include <stdbool.h>
#include <stdint.h>

/* Begins, given the two sides of the ring and the data region. */
void net_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region);
/* Lets peers connect. */
void net_listen(void);
/* Takes net's messages, and sends as many as fit. Returns false if net had none. */
bool net_work(void);
/* Reports whether the ring is full. Net does not notify when it has room again. */
bool net_is_full(void);
/* Reports whether net must be notified, and resets that. */
bool net_has_put(void);

#endif
