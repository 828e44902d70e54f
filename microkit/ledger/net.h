/* The ledger's connections: between the bundle's netSend() and the like, and the ring to net. */
#ifndef LEDGER_NET_H
#define LEDGER_NET_H

#include <stdbool.h>
#include <stdint.h>

/* Everything begins anew: where the two sides of the ring and the data region are. */
void net_begin(uintptr_t mine, uintptr_t theirs, uintptr_t region);
/* Peers may connect. */
void net_listen(void);
/* Takes what has come and sends what there is room for. False: nothing has come. */
bool net_work(void);
/* Whether there was no room for a message: net does not tell when there is again. */
bool net_is_full(void);
/* Whether net has to be notified; it is said once. */
bool net_has_put(void);

#endif
