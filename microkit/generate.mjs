// The appliance as a system description: its protection domains, what each of them holds, and the channels between them.
// It follows from a short list, totebox.json, in which each tenant is a line.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Appliance, PAGE } from './appliance.mjs'
import { addKeys, addKeysOf, checkOrigins, originOf } from './keys.mjs'
import { addNetwork, addPort } from './network.mjs'

// QEMU's virt machine.
const UART = 0x900_0000
const RTC = 0x901_0000

// The transport of each device, where qemu/run.mjs attaches it. A page holds eight transports; each device is in another page.
export const DATA_DISK = 0
export const KEY_DISK = 8
export const NETWORK = 16
export const ENTROPY = 24

// The microseconds between two checks of the clients' deadlines.
const TICK = 10_000

const MiB = 0x10_0000
// The data region between a tenant and PSDB.
const DATA_REGION = 32 * MiB
// The data region between PSDB and the data disk.
const DISK_REGION = 2 * MiB
// PSDB's memory: its state, 32 bytes for each object (two thirds are used), 24 for each unsealed tail file.
const STORE_MEMORY = 4 * MiB
const OBJECTS = 1 << 20
const TAILS = 32768
const TAIL_BYTES = 24

const MODULE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const MOST_TENANTS = 31

const SHA256 = ['sha256/sha256.c', 'crates/mbedtls-sys-auto/vendor/library/sha256.c']
const STORE = readdirSync(join(import.meta.dirname, 'psdb')).filter((name) => name.endsWith('.c'))

const MONOCYPHER_ED25519 = 'crates/monocypher-sys/Monocypher/src/optional/monocypher-ed25519.c'
const MONOCYPHER = ['crates/monocypher-sys/Monocypher/src/monocypher.c', MONOCYPHER_ED25519]
// Includes monocypher.c.
const VERIFYING = ['ed25519/ed25519.c', MONOCYPHER_ED25519]
/** Returns all C sources of a folder. @param {string} folder */
const sourcesOf = (folder) =>
  readdirSync(join(import.meta.dirname, folder))
    .filter((name) => name.endsWith('.c'))
    .map((name) => `${folder}/${name}`)
// engine/quickjs.c is translated from the engine's WebAssembly.
const LEDGER = [
  ...sourcesOf('ledger'),
  'ledger/bundle.S',
  ...sourcesOf('engine'),
  'engine/quickjs.c',
  ...SHA256,
  ...VERIFYING,
]
// The engine's memory. The engine's code can reach addresses after it; every such access faults.
const LARGEST_HEAP = 192 * MiB
const SMALLEST_HEAP = 32 * MiB
// The heaps and data regions of all tenants together: the tool of SDK 2.0.1 places at most 512 MiB of large pages.
const TENANTS_MEMORY = 416 * MiB
const REACH = 8 * 1024 * MiB
const KEYS = [
  ...sourcesOf('keys'),
  'virtio/virtio.c',
  'virtio/disk.c',
  'ledger/codec.c',
  ...SHA256,
  ...MONOCYPHER,
]

/** @typedef {import('./appliance.mjs').Tenant} Tenant */
/**
 * @typedef {{ tenants: Tenant[], network?: import('./network.mjs').Network, net?: string[], keys?: string[] }} Totebox
 *   `net` and `keys` replace these domains, as a tenant's `program` does
 */

/** @param {Totebox} totebox */
export function check(totebox) {
  const { tenants } = totebox
  if (!Array.isArray(tenants) || tenants.length < 1 || tenants.length > MOST_TENANTS) {
    throw new Error(`tenants: expected a list of 1 to ${MOST_TENANTS}`)
  }
  for (const [index, { moduleId, port }] of tenants.entries()) {
    if (typeof moduleId !== 'string' || !MODULE_ID.test(moduleId)) {
      throw new Error(
        `tenants[${index}].moduleId: expected [a-z0-9][a-z0-9-]{0,62}, found ${JSON.stringify(moduleId)}`,
      )
    }
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65535)) {
      throw new Error(`tenants[${index}].port: expected 1 to 65535, found ${JSON.stringify(port)}`)
    }
    for (const [field, value] of Object.entries({ moduleId, port })) {
      const same = tenants.findIndex((tenant) => tenant[/** @type {'moduleId'} */ (field)] === value)
      if (value !== undefined && same < index) {
        throw new Error(`tenants[${index}].${field}: tenants[${same}] has ${JSON.stringify(value)}, too`)
      }
    }
  }
  checkOrigins(tenants)
}

/** Returns a list of strings in C. @param {string[]} texts */
const strings = (texts) => `{${texts.map((text) => JSON.stringify(text)).join(', ')}}`

/** @param {Appliance} system @param {Tenant[]} tenants */
function addStorage(system, tenants) {
  system.part('blk', { priority: 200, sources: ['blk/blk.c', 'virtio/virtio.c', 'virtio/disk.c'] })
  system.virtio('blk', DATA_DISK, 2)
  system.part('psdb', {
    priority: 150,
    stack: 0x10000,
    sources: ['psdb_pd/psdb_pd.c', ...STORE.map((name) => `psdb/${name}`), ...SHA256],
    defines: { TAILS_EACH: TAILS },
  })
  system.rings('psdb', { name: 'blk' }, 'blk', { name: 'psdb' })
  system.region('disk_data', DISK_REGION)
  system.map('disk_data', 'psdb', 'rw', { name: 'disk' })
  system.physical('blk', 'data_physical', 'disk_data')
  const blk = /** @type {import('./description.mjs').Domain} */ (system.domains.get('blk'))
  blk.defines['SIZE_DATA'] = `0x${DISK_REGION.toString(16)}`
  system.region('psdb_store', STORE_MEMORY)
  system.map('psdb_store', 'psdb', 'rw', { name: 'store' })
  system.region('psdb_objects', OBJECTS * 32)
  system.map('psdb_objects', 'psdb', 'rw', { name: 'slots' })
  const tails = 2 * tenants.length * TAILS * TAIL_BYTES
  system.region('psdb_tails', Math.ceil(tails / (2 * MiB)) * 2 * MiB)
  system.map('psdb_tails', 'psdb', 'rw', { name: 'tails' })
}

/** @param {Appliance} system */
function addServices(system) {
  system.part('clock', { priority: 170, budget: 1000, period: TICK, sources: ['clock/clock.c'] })
  system.region('rtc', PAGE, { device: RTC })
  system.map('rtc', 'clock', 'r', { name: 'rtc' })
  system.region('time', PAGE)
  system.map('time', 'clock', 'rw', { name: 'time' })
  system.wake('supervisor')
  system.part('entropy', { priority: 160, sources: ['entropy/entropy.c', 'virtio/virtio.c'] })
  system.virtio('entropy', ENTROPY, 2)
}

/** Returns the size of each engine's memory. @param {number} tenants */
function heapOf(tenants) {
  const share = Math.floor(TENANTS_MEMORY / tenants / (2 * MiB)) * 2 * MiB - DATA_REGION
  return Math.max(SMALLEST_HEAP, Math.min(LARGEST_HEAP, share))
}

/** Gives a ledger the memory of its engine. @param {Appliance} system @param {string} moduleId @param {number} tenants */
function addHeap(system, moduleId, tenants) {
  const name = `ledger_${moduleId}`
  system.region(`heap_${moduleId}`, heapOf(tenants), { reach: REACH })
  system.map(`heap_${moduleId}`, name, 'rw', { name: 'heap' })
}

/** @param {Appliance} system @param {Totebox} totebox */
function addLedgers(system, { tenants, network, net }) {
  if (tenants.some(({ program }) => program === undefined)) {
    if (network === undefined && net === undefined)
      throw new Error('network: expected {"dhcp": true}, or an address and a netmask, found none')
  }
  for (const [index, { moduleId, program, script }] of tenants.entries()) {
    const name = `ledger_${moduleId}`
    system.part(name, {
      priority: 100,
      stack: 2 * MiB,
      sources: [...(program ?? LEDGER), 'lib/restart.c'],
      parent: 'supervisor',
      child: index,
      restartable: true,
      ...(script === undefined ? {} : { script }),
      defines: { TENANT: JSON.stringify(moduleId) },
    })
    system.rings(name, { name: 'psdb' }, 'psdb', { name: 'ledgers', index })
    system.region(`data_${moduleId}`, DATA_REGION)
    system.map(`data_${moduleId}`, name, 'rw', { name: 'data' })
    system.map(`data_${moduleId}`, 'psdb', 'rw', { name: 'ledgers_data', index })
    if ((network ?? net) !== undefined) addPort(system, moduleId, index)
    system.wake(name)
    system.time(name)
    system.random(name)
    addKeysOf(system, moduleId, index)
    if (program === undefined) addHeap(system, moduleId, tenants.length)
  }
}

/**
 * @param {Totebox} totebox
 * @returns {{ description: Appliance, xml: string, header: string }}
 */
export function generate(totebox) {
  check(totebox)
  const { tenants } = totebox
  const system = new Appliance()
  system.domain('supervisor', {
    priority: 250,
    sources: ['supervisor/supervisor.c', 'supervisor/serial.c', 'lib/memory.c', 'lib/text.c'],
  })
  system.region('uart', PAGE, { device: UART })
  system.map('uart', 'supervisor', 'rw', { name: 'uart' })
  addServices(system)
  addStorage(system, tenants)
  if (totebox.net !== undefined) system.part('net', { priority: 140, sources: totebox.net })
  else if (totebox.network !== undefined) addNetwork(system, tenants, totebox.network, NETWORK)
  addKeys(system, totebox.keys === undefined ? KEYS : [...totebox.keys, ...SHA256, ...MONOCYPHER], KEY_DISK)
  addLedgers(system, totebox)
  const supervisor = /** @type {import('./description.mjs').Domain} */ (system.domains.get('supervisor'))
  const children = tenants.map(({ moduleId }) => `ledger_${moduleId}`)
  supervisor.defines['CONSOLE_NAMES'] = strings(system.consoles)
  supervisor.defines['CHILD_NAMES'] = strings(children)
  supervisor.defines['CHILD_CONSOLES'] =
    `{${children.map((name) => system.consoles.indexOf(name)).join(', ')}}`
  return {
    description: system,
    xml: system.xml(),
    header: system.header({
      TENANT_COUNT: tenants.length,
      TENANT_NAMES: strings(tenants.map(({ moduleId }) => moduleId)),
      TENANT_ORIGINS: strings(tenants.map(originOf)),
    }),
  }
}
