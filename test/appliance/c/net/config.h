/* Replaces the generated header: the domains' memory is in ../net.c.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

/* lwIP must not define ssize_t again. */
#define SSIZE_MAX INT32_MAX
#define TENANT_COUNT 2
#define TENANT_NAMES                                                                                         \
    { "acme", "globex" }
#define TENANT_PORTS                                                                                         \
    { 80, 8080 }
#define CONNECTIONS_EACH 8
extern uint8_t at_input[], at_mine[2][0x2000], at_theirs[2][0x2000], at_data[2][0x400000], at_random[];
#define AT_INPUT at_input
#define SIZE_INPUT (16 * 65536)
#define AT_RANDOM at_random
#define AT_HEAP 0
#define SIZE_HEAP 0
#define AT_DEVICE 0
#define AT_QUEUE 0
#define AT_LEDGERS_DATA                                                                                      \
    { (uintptr_t) at_data[0], (uintptr_t)at_data[1] }
#define SIZE_LEDGERS_DATA 0x400000
#define AT_LEDGERS_RING_MINE                                                                                 \
    { (uintptr_t) at_mine[0], (uintptr_t)at_mine[1] }
#define AT_LEDGERS_RING_THEIRS                                                                               \
    { (uintptr_t) at_theirs[0], (uintptr_t)at_theirs[1] }
#define CH_LEDGERS                                                                                           \
    { 0, 1 }
#define NET_DHCP 0
#define NET_ADDRESS 0x0a00020fu
#define NET_NETMASK 0xffffff00u
#define NET_GATEWAY 0x0a000202u
