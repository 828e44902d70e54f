/*
 * The limits. Each tenant has a fixed share of every resource, so no tenant can use another's. The generated
 * config.h defines CONNECTIONS_EACH.
 */
#ifndef NET_LIMITS_H
#define NET_LIMITS_H

#include "config.h"
#include "net/message.h"

/* Each connection: the peer's bytes that wait for the ledger, */
#define LIMIT_WINDOW 65535u
#define LIMIT_INPUT 65536u
/* the ledger's bytes that the peer has not acknowledged, */
#define LIMIT_SENDING (NET_WINDOW * NET_SLOT)
/* the blocks of memory that hold them, two for each segment, */
#define LIMIT_SEGMENTS 64u
/* and frames that arrived out of order. */
#define LIMIT_OUT_OF_ORDER 8u

/* Each tenant: connections that are opening, and those that wait for their last packets. */
#define LIMIT_HALF_OPEN 16u
#define LIMIT_PCBS (CONNECTIONS_EACH + LIMIT_HALF_OPEN + 16u)

/* All tenants together. */
#define LIMIT_CONNECTIONS (CONNECTIONS_EACH * TENANT_COUNT)
#define LIMIT_ALL_PCBS (LIMIT_PCBS * TENANT_COUNT)

_Static_assert(CONNECTIONS_EACH >= 1 && CONNECTIONS_EACH <= NET_CONNECTIONS,
               "a ledger has room for its connections");

#endif
