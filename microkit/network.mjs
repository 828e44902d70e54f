// The network's part of the system description: the domain that holds the card, its address, and the rings and regions
// between it and each ledger.

const MiB = 0x10_0000
const LARGE_PAGE = 2 * MiB
// The most open connections of one tenant, and of all together. All tenants have the same share.
const TENANT_CONNECTIONS = 64
const ALL_CONNECTIONS = 256
// The bytes of a connection that wait for its ledger (net/limits.h).
const INPUT = 0x1_0000
// The data region between net and one ledger (net/message.h).
const REGION = 4 * MiB
// The card's two queues and its frames (net/card.h), and lwIP's memory (net/heap.c).
const CARD_PAGES = 130
const HEAP = 24 * MiB

const SOURCES = ['card', 'checksum', 'connection', 'heap', 'net', 'random', 'stack', 'tenant']
const CORE = ['def', 'inet_chksum', 'init', 'ip', 'mem', 'memp', 'netif', 'pbuf', 'tcp', 'tcp_in', 'tcp_out']
const PROTOCOLS = ['timeouts', 'udp', 'ipv4/dhcp', 'ipv4/etharp', 'ipv4/icmp', 'ipv4/ip4', 'ipv4/ip4_addr']
/** lwIP's sources. */
export const LWIP = [
  ...[...CORE, ...PROTOCOLS].map((name) => `crates/lwip/src/core/${name}.c`),
  'crates/lwip/src/netif/ethernet.c',
]

/** @typedef {{ dhcp: true } | { address: string, netmask: string, gateway?: string }} Network */

/**
 * Parses an IPv4 address to a number.
 *
 * @param {string} field
 * @param {unknown} text
 */
function address(field, text) {
  const match = typeof text === 'string' ? /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text) : null
  const bytes = match === null ? [] : match.slice(1).map(Number)
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255)) {
    throw new Error(`network.${field}: expected an IPv4 address, found ${JSON.stringify(text)}`)
  }
  return bytes.reduce((number, byte) => number * 256 + byte, 0)
}

/** @param {number} number */
const hex = (number) => `0x${number.toString(16)}u`

/**
 * Returns the macros with net's addresses; they are zero if DHCP sets them.
 *
 * @param {Network} network
 * @returns {Record<string, string | number>}
 */
function addresses(network) {
  if ('dhcp' in network) {
    if (!network.dhcp || Object.keys(network).length > 1) {
      throw new Error(
        'network: expected {"dhcp": true}, or an address and a netmask, with or without a gateway',
      )
    }
    return { NET_DHCP: 1, NET_ADDRESS: hex(0), NET_NETMASK: hex(0), NET_GATEWAY: hex(0) }
  }
  const netmask = address('netmask', network.netmask)
  if (!/^1+0*$/.test(netmask.toString(2).padStart(32, '0'))) {
    throw new Error(`network.netmask: expected ones before zeros, found ${network.netmask}`)
  }
  return {
    NET_DHCP: 0,
    NET_ADDRESS: hex(address('address', network.address)),
    NET_NETMASK: hex(netmask),
    NET_GATEWAY: hex(network.gateway === undefined ? 0 : address('gateway', network.gateway)),
  }
}

/**
 * Adds the domain `net`.
 *
 * @param {import('./appliance.mjs').Appliance} system
 * @param {import('./appliance.mjs').Tenant[]} tenants
 * @param {Network} network
 * @param {number} transport
 */
export function addNetwork(system, tenants, network, transport) {
  const each = Math.min(TENANT_CONNECTIONS, Math.floor(ALL_CONNECTIONS / tenants.length))
  system.part('net', {
    priority: 140,
    stack: 0x10000,
    sources: [...SOURCES.map((name) => `net/${name}.c`), 'virtio/virtio.c', ...LWIP],
    defines: {
      ...addresses(network),
      CONNECTIONS_EACH: each,
      TENANT_PORTS: `{${tenants.map(({ port = 0 }) => port).join(', ')}}`,
    },
  })
  system.virtio('net', transport, CARD_PAGES)
  system.region('net_input', Math.ceil((each * tenants.length * INPUT) / LARGE_PAGE) * LARGE_PAGE)
  system.map('net_input', 'net', 'rw', { name: 'input' })
  system.region('net_heap', HEAP)
  system.map('net_heap', 'net', 'rw', { name: 'heap' })
  system.wake('net')
  system.random('net')
}

/**
 * Gives a ledger its connections.
 *
 * @param {import('./appliance.mjs').Appliance} system
 * @param {string} moduleId
 * @param {number} index
 */
export function addPort(system, moduleId, index) {
  const ledger = `ledger_${moduleId}`
  system.rings(ledger, { name: 'net' }, 'net', { name: 'ledgers', index })
  system.region(`net_${moduleId}`, REGION)
  system.map(`net_${moduleId}`, ledger, 'rw', { name: 'net_data' })
  system.map(`net_${moduleId}`, 'net', 'rw', { name: 'ledgers_data', index })
}
