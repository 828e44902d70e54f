// The rules for an appliance, for both its description and its build. A broken rule is a finding that names the domain or
// region.
import { MONITOR } from './system.mjs'

/** @typedef {import('./system.mjs').System} System */
/** @typedef {import('./system.mjs').Domain} Domain */
/** @typedef {{ rule: string, where: string, text: string }} Finding `where`: the domain or region */

// QEMU's virt machine: the holder of each device. This list repeats generate.mjs on purpose, because generate.mjs may be wrong. A page has
// eight virtio transports; each device of the appliance is behind the first one of its page.
const MEMORY = 0x4000_0000
const PAGE = 0x1000
/** @type {Map<number, string>} */
const DEVICES = new Map([
  [0x900_0000, 'supervisor'],
  [0x901_0000, 'clock'],
  [0xa00_0000, 'blk'],
  [0xa00_1000, 'keys'],
  [0xa00_2000, 'net'],
  [0xa00_3000, 'entropy'],
])
/** @type {Map<number, string>} */
const INTERRUPTS = new Map([
  [48, 'blk'],
  [56, 'keys'],
  [64, 'net'],
  [72, 'entropy'],
])
/** The domains of every appliance. */
const ALWAYS = ['supervisor', 'clock', 'entropy', 'blk', 'psdb', 'keys']

/** @type {Record<string, number>} */
const PRIORITIES = {
  supervisor: 250,
  blk: 200,
  keys: 190,
  clock: 170,
  entropy: 160,
  psdb: 150,
  net: 140,
}
const LEDGER_PRIORITY = 100

/** The only region that many domains map. Only its owner writes it. */
const TIME = { region: 'time', owner: 'clock' }

/** @param {string} name */
export const isLedger = (name) => name.startsWith('ledger_')

/**
 * The channel and regions that a client and a server may share, each with the permissions of the client and of the
 * server.
 *
 * @typedef {Record<string, [string, string]>} Link
 */

/** @param {string} client @param {string} server @returns {Link} */
const rings = (client, server) => ({
  [`ring_${client}_to_${server}`]: ['rw', 'r'],
  [`ring_${server}_to_${client}`]: ['r', 'rw'],
})

/** The prefix of the data region between a ledger and each server. @type {Record<string, string>} */
const DATA = { psdb: 'data', net: 'net', keys: 'keys' }

/** @param {string} client @param {string} server @returns {Link[]} */
function served(client, server) {
  if (server === 'supervisor') return [{ [`console_${client}`]: ['rw', 'r'] }]
  if (server === 'clock') {
    const woken = client === 'supervisor' || client === 'net' || isLedger(client)
    return woken ? [{ [`deadline_${client}`]: ['rw', 'r'] }] : []
  }
  if (server === 'entropy') {
    const given = client === 'net' || client === 'keys' || isLedger(client)
    return given ? [{ [`random_${client}`]: ['r', 'rw'] }] : []
  }
  if (server === 'blk') return client === 'psdb' ? [rings(client, server)] : []
  const data = DATA[server]
  if (data === undefined || !isLedger(client)) return []
  const tenant = client.replace('ledger_', '')
  return [{ ...rings(client, server), [`${data}_${tenant}`]: ['rw', 'rw'] }]
}

/** Returns the owner of a region that the tool makes for a domain: program, stack, IPC buffer. @param {string} region */
const ownerOf = (region) => /^(?:ELF|STACK|IPC):(.+)$/.exec(region)?.[1]

/** @param {{ write: boolean }} mapping */
const permsOf = ({ write }) => (write ? 'rw' : 'r')

class Audit {
  /** @type {Finding[]} */
  findings = []
  /** The domains that map each region. @type {Map<string, { domain: string, perms: string, execute: boolean }[]>} */
  holders = new Map()

  /** @param {System} system */
  constructor(system) {
    this.system = system
    for (const region of system.regions.keys()) this.holders.set(region, [])
    for (const { name, mappings } of system.domains.values()) {
      for (const mapping of mappings) {
        const holders = this.holders.get(mapping.region) ?? []
        holders.push({ domain: name, perms: permsOf(mapping), execute: mapping.execute })
        this.holders.set(mapping.region, holders)
      }
    }
  }

  /** @param {string} rule @param {string} where @param {string} text */
  find(rule, where, text) {
    this.findings.push({ rule, where, text })
  }

  /** Lists the domains that map a region, for a sentence. @param {string} region */
  who(region) {
    return (this.holders.get(region) ?? []).map(({ domain, perms }) => `${domain} (${perms})`).join(', ')
  }

  domains() {
    for (const { name, priority, strange } of this.system.domains.values()) {
      if (name === MONITOR) continue
      const meant = isLedger(name) ? LEDGER_PRIORITY : PRIORITIES[name]
      if (meant === undefined) this.find('domains', name, 'an appliance has no such domain')
      else if (priority !== meant) this.find('priorities', name, `has priority ${priority}, not ${meant}`)
      for (const thing of strange) this.find('capabilities', name, thing)
    }
    for (const name of ALWAYS) {
      if (!this.system.domains.has(name)) this.find('domains', name, 'is not there')
    }
  }

  /** Only the supervisor has children, and only ledgers are children: it receives their faults and restarts them. */
  children() {
    for (const { name, controls, faults } of this.system.domains.values()) {
      if (name === MONITOR) continue
      for (const child of controls) {
        if (name !== 'supervisor') this.find('children', name, `is the parent of ${child}`)
        else if (!isLedger(child)) this.find('children', child, 'is a child of the supervisor')
      }
      const told = isLedger(name) ? 'supervisor' : MONITOR
      if (faults !== told) this.find('children', name, `${faults} receives its faults, not ${told}`)
    }
    const children = this.system.domains.get('supervisor')?.controls ?? []
    for (const name of this.system.domains.keys()) {
      if (isLedger(name) && !children.includes(name))
        this.find('children', name, 'is no child of the supervisor')
    }
  }

  devices() {
    /** @type {Set<string>} */
    const held = new Set()
    for (const [region, ranges] of this.system.regions) {
      for (const { from, bytes } of ranges) {
        if (from >= MEMORY) continue
        const owner = bytes === PAGE ? DEVICES.get(from) : undefined
        if (owner === undefined) {
          this.find(
            'devices',
            region,
            `${bytes} bytes at 0x${from.toString(16)} do not belong to a device of the appliance`,
          )
          continue
        }
        for (const { domain } of this.holders.get(region) ?? []) {
          held.add(domain)
          if (domain !== owner)
            this.find('devices', region, `is mapped by ${domain}: only ${owner} may map it`)
        }
      }
    }
    for (const owner of DEVICES.values()) {
      const there = this.system.domains.has(owner)
      if (there && !held.has(owner)) this.find('devices', owner, 'does not hold its device')
    }
  }

  interrupts() {
    /** @type {Map<number, string>} */
    const held = new Map()
    for (const { name, irqs } of this.system.domains.values()) {
      for (const irq of irqs) {
        const owner = INTERRUPTS.get(irq)
        if (owner === undefined)
          this.find('interrupts', name, `holds interrupt ${irq}, which is no device's of the appliance`)
        else if (owner !== name)
          this.find('interrupts', name, `holds interrupt ${irq}: only ${owner} may hold it`)
        if (held.has(irq)) this.find('interrupts', name, `holds interrupt ${irq}, as ${held.get(irq)} does`)
        held.set(irq, name)
      }
    }
    for (const [irq, owner] of INTERRUPTS) {
      if (this.system.domains.has(owner) && !held.has(irq))
        this.find('interrupts', owner, `does not hold interrupt ${irq}`)
    }
  }

  /** Memory for devices: a device can access all memory whose physical address its holder knows or guesses. */
  physical() {
    for (const { name, physical } of this.system.domains.values()) {
      for (const region of physical) {
        const alone = (this.holders.get(region) ?? []).every(({ domain }) => domain === name)
        const disk = name === 'blk' && region === 'disk_data' && this.who(region) === 'psdb (rw)'
        if (!alone && !disk)
          this.find('physical', region, `${name} is given its address; it is mapped by ${this.who(region)}`)
      }
    }
  }

  /** No memory is both writable and executable, and only programs are executable. */
  writeExecute() {
    for (const { name, mappings } of this.system.domains.values()) {
      for (const { region, write, execute } of mappings) {
        if (execute && write) this.find('write-execute', region, `${name} can write it and execute it`)
        else if (execute && region !== `ELF:${name}`)
          this.find('write-execute', region, `${name} can execute it`)
      }
    }
  }

  /** No two regions overlap. */
  overlaps() {
    const all = [...this.system.regions].flatMap(([region, ranges]) =>
      ranges.map((range) => ({ region, ...range })),
    )
    all.sort((a, b) => a.from - b.from)
    let last = { region: '', from: 0, bytes: 0 }
    for (const range of all) {
      if (range.from < last.from + last.bytes) {
        this.find(
          'overlaps',
          range.region,
          `is the same memory as ${last.region} at 0x${range.from.toString(16)}`,
        )
      }
      last = range
    }
  }

  /** Checks which domains share a region. Returns the regions that two domains share, by their names, for `links`. */
  shared() {
    /** @type {Map<string, { region: string, of: Map<string, string> }[]>} */
    const pairs = new Map()
    for (const [region, holders] of this.holders) {
      const of = new Map(holders.map(({ domain, perms }) => [domain, perms]))
      const names = [...of.keys()].sort()
      const owner = ownerOf(region)
      if (of.size < holders.length && owner === undefined)
        this.find('sharing', region, `is mapped twice: ${this.who(region)}`)
      if (owner !== undefined) {
        for (const name of names) if (name !== owner) this.find('sharing', region, `is mapped by ${name}`)
      } else if (region === TIME.region) {
        for (const name of names) {
          const meant = name === TIME.owner ? 'rw' : 'r'
          if (of.get(name) !== meant)
            this.find('one-writer', region, `${name} may not write it: ${this.who(region)}`)
        }
      } else if (names.filter(isLedger).length > 1) {
        this.find('tenants-apart', region, `is shared by tenants: ${this.who(region)}`)
      } else if (names.length > 2) {
        this.find('sharing', region, `is shared by more than two: ${this.who(region)}`)
      } else if (names.length === 2) {
        const key = names.join(' ')
        pairs.set(key, [...(pairs.get(key) ?? []), { region, of }])
      }
    }
    return pairs
  }

  /** Each pair of domains shares all regions of a link, or none. */
  links() {
    const pairs = this.shared()
    const names = [...this.system.domains.keys()].filter((name) => name !== MONITOR).sort()
    for (const [i, one] of names.entries()) {
      for (const other of names.slice(i + 1)) this.#pair(one, other, pairs.get(`${one} ${other}`) ?? [])
    }
    for (const { name, notifies } of this.system.domains.values()) {
      for (const other of notifies) {
        if (!this.system.domains.has(other))
          this.find('channels', name, `has a channel to ${other}, which is no domain`)
      }
    }
    if (!this.#notifies('psdb', 'blk')) this.find('channels', 'psdb', 'has no channel to blk')
  }

  /** @param {string} one @param {string} other */
  #notifies(one, other) {
    return this.system.domains.get(one)?.notifies.filter((name) => name === other).length ?? 0
  }

  /** @param {string} one @param {string} other @param {{ region: string, of: Map<string, string> }[]} regions */
  #pair(one, other, regions) {
    const both = `${one} and ${other}`
    /** The regions of each link, with the rights of both domains. */
    const links = [
      ...served(one, other).map(
        (link) => new Map(Object.entries(link).map(([region, [a, b]]) => [region, `${a} ${b}`])),
      ),
      ...served(other, one).map(
        (link) => new Map(Object.entries(link).map(([region, [a, b]]) => [region, `${b} ${a}`])),
      ),
    ]
    const expected = new Map(links.flatMap((link) => [...link]))
    for (const { region, of } of regions) {
      const found = `${of.get(one)} ${of.get(other)}`
      const meant = expected.get(region)
      if (meant === undefined)
        this.find('sharing', region, `is shared by ${this.who(region)}, and is not theirs to share`)
      else if (found === 'rw rw' && meant !== found)
        this.find('one-writer', region, `is written by both: ${this.who(region)}`)
      else if (found !== meant) this.find('one-writer', region, `is shared by ${this.who(region)}`)
    }
    const there = new Set(regions.map(({ region }) => region))
    const whole = links.filter((link) => [...link.keys()].every((region) => there.has(region)))
    const some = links.filter((link) => [...link.keys()].some((region) => there.has(region)))
    if (whole.length !== some.length)
      this.find('sharing', both, 'have only some of the regions that belong together')
    this.#channels(one, other, whole.length)
  }

  /** @param {string} one @param {string} other @param {number} expected */
  #channels(one, other, expected) {
    const there = this.#notifies(one, other)
    const back = this.#notifies(other, one)
    if (there !== back) {
      this.find(
        'channels',
        `${one} and ${other}`,
        `${one} notifies on ${there} channels, ${other} on ${back}`,
      )
    } else if (there !== expected) {
      this.find(
        'channels',
        `${one} and ${other}`,
        `have ${there} channels, and regions that go with ${expected}`,
      )
    }
  }

  all() {
    this.domains()
    this.children()
    this.devices()
    this.interrupts()
    this.physical()
    this.writeExecute()
    this.overlaps()
    this.links()
    return this.findings
  }
}

/** Returns the findings for a system. @param {System} system */
export const audit = (system) => new Audit(system).all()

/** @param {Domain} domain @param {(region: string) => boolean} described */
function facts({ priority, irqs, notifies, controls, faults, mappings }, described) {
  return [
    `priority ${priority}`,
    `its faults go to ${faults}`,
    ...irqs.map((irq) => `interrupt ${irq}`),
    ...controls.map((name) => `child ${name}`),
    ...notifies.map((name) => `a channel to ${name}`).toSorted(),
    ...mappings
      .filter(({ region }) => described(region))
      .map(
        (map) =>
          `${map.region} at 0x${map.at.toString(16)}, ${map.bytes} bytes, ${permsOf(map)}${map.execute ? 'x' : ''}`,
      ),
  ]
}

/** @param {string[]} all @param {string[]} without */
function minus(all, without) {
  const left = [...without]
  return all.filter((fact) => {
    const at = left.indexOf(fact)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** Returns the differences between the description and the build. @param {System} described @param {System} built @returns {Finding[]} */
export function compare(described, built) {
  /** @type {Finding[]} */
  const findings = []
  for (const name of new Set([...described.domains.keys(), ...built.domains.keys()])) {
    if (name === MONITOR) continue
    const [one, other] = [described, built].map(({ domains }) => domains.get(name))
    const meant = one === undefined ? [] : facts(one, () => true)
    const found = other === undefined ? [] : facts(other, (region) => ownerOf(region) === undefined)
    for (const fact of minus(meant, found))
      findings.push({ rule: 'as-described', where: name, text: `was not built with ${fact}` })
    for (const fact of minus(found, meant))
      findings.push({ rule: 'as-described', where: name, text: `was built with ${fact}` })
  }
  return findings
}
