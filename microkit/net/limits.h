/*
 * How much of everything there is. A tenant has a share of its own of all that is limited, so that it takes
 * nothing from another: CONNECTIONS_EACH is of the generated config.h.
 */
#ifndef NET_LIMITS_H
#define NET_LIMITS_H

#include "config.h"
#include "net/message.h"

/* Of one connection: bytes of the peer's that wait for the ledger, … */
#define LIMIT_WINDOW 65535u
#define LIMIT_INPUT 65536u
/* … bytes of the ledger's that the peer has not acknowledged, … */
#define LIMIT_SENDING (NET_WINDOW * NET_SLOT)
/* … pieces of memory that these are held by, two a segment, … */
#define LIMIT_SEGMENTS 64u
/* … and frames that came before others they follow. */
#define LIMIT_OUT_OF_ORDER 8u

/* Of one tenant: connections that are being opened, and that are gone but for their last packets. */
#define LIMIT_HALF_OPEN 16u
#define LIMIT_PCBS (CONNECTIONS_EACH + LIMIT_HALF_OPEN + 16u)

/* In all. */
#define LIMIT_CONNECTIONS (CONNECTIONS_EACH * TENANT_COUNT)
#define LIMIT_ALL_PCBS (LIMIT_PCBS * TENANT_COUNT)

_Static_assert(CONNECTIONS_EACH >= 1 && CONNECTIONS_EACH <= NET_CONNECTIONS, "a ledger has room for so many");

#endif
