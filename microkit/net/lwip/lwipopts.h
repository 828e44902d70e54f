/*
 * lwIP's configuration: the raw API without an operating system, IPv4, TCP as a server, DHCP. It sets the
 * limits of one connection; net/tenant.c has those of one tenant.
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#include "net/checksum.h"
#include "net/heap.h"
#include "net/limits.h"

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_RAW 0
#define LWIP_DNS 0
#define LWIP_IPV6 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_SINGLE_NETIF 1

/* All memory comes from net/heap.c. */
#define MEM_ALIGNMENT 8
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC heap_take
#define MEM_CUSTOM_CALLOC heap_take_zeros
#define MEM_CUSTOM_FREE heap_give
#define MEMP_MEM_MALLOC 1
#define PBUF_POOL_BUFSIZE 1536
#define LWIP_MEMCPY memcpy

/* IP: no fragments, no options. */
#define IP_FORWARD 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define IP_OPTIONS_ALLOWED 0
#define ARP_TABLE_SIZE 32
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 3
#define LWIP_CHKSUM checksum

/* DHCP */
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define LWIP_ACD 0
#define LWIP_AUTOIP 0

/* TCP */
#define TCP_MSS 1460
#define TCP_WND LIMIT_WINDOW
#define TCP_SND_BUF LIMIT_SENDING
#define TCP_SND_QUEUELEN LIMIT_SEGMENTS
#define TCP_OVERSIZE 0
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS LIMIT_OUT_OF_ORDER
#define TCP_LISTEN_BACKLOG 0
#define TCP_MSL 5000UL
#define LWIP_TCP_RTO_TIME 1000
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1
#define LWIP_HOOK_FILENAME "net/random.h"
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                            \
    random_sequence((local)->addr, local_port, (remote)->addr, remote_port)

#endif
