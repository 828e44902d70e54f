// The keys' part of the system description: the domain that holds the key disk, the names of the keys, and the rings and
// regions between it and each ledger.

// The driver's two pages, and the page of the sector under way (keys/keys.c).
const DISK_PAGES = 3
// KEYS_REGION in keys/message.h.
const REGION = 32 * 1024
// RECORD_NAME in keys/record.h.
const LONGEST_NAME = 256
/** The characters that a key's name must not contain: those of packages/tlog/src/note.ts, and DEL. */
const NOT_IN_NAME = /[^\u0021-\uffff]|[\u007f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/

/** @typedef {import('./appliance.mjs').Tenant} Tenant */

/** Returns the origin of a tenant's ledger. The origin of its audit sub-ledger adds /audit. @param {Tenant} tenant */
export const originOf = ({ moduleId, origin }) => origin ?? `service-fs.local/ledger/${moduleId}`

/** Checks that the names of all keys differ, and fit their records on the key disk. @param {Tenant[]} tenants */
export function checkOrigins(tenants) {
  const names = tenants.map(originOf).flatMap((origin) => [origin, `${origin}/audit`])
  for (const [at, name] of names.entries()) {
    const field = `tenants[${at >> 1}].origin`
    if (name === '' || NOT_IN_NAME.test(name) || Buffer.byteLength(name) > LONGEST_NAME) {
      throw new Error(
        `${field}: expected a name of at most 250 bytes without spaces and plus signs, found ${JSON.stringify(name)}`,
      )
    }
    const same = names.indexOf(name)
    if (same < at) throw new Error(`${field}: ${name} names a key of tenants[${same >> 1}] too`)
  }
}

/**
 * Adds the domain `keys`.
 *
 * @param {import('./appliance.mjs').Appliance} system
 * @param {string[]} sources
 * @param {number} transport
 */
export function addKeys(system, sources, transport) {
  system.part('keys', { priority: 190, stack: 0x10000, sources })
  system.virtio('keys', transport, DISK_PAGES)
  system.random('keys')
}

/**
 * Adds the rings between a ledger and keys, and a region for texts.
 *
 * @param {import('./appliance.mjs').Appliance} system
 * @param {string} moduleId
 * @param {number} index
 */
export function addKeysOf(system, moduleId, index) {
  const name = `ledger_${moduleId}`
  system.rings(name, { name: 'keys' }, 'keys', { name: 'ledgers', index })
  system.region(`keys_${moduleId}`, REGION)
  system.map(`keys_${moduleId}`, name, 'rw', { name: 'keys_data' })
  system.map(`keys_${moduleId}`, 'keys', 'rw', { name: 'ledgers_data', index })
}
