// Reads the report of SDK 2.3, which lists threads, interrupts and the capabilities of each domain, and the tool's
// specification of the image in JSON (--capdl-json), which also has the page tables.
import { joined, MONITOR, newDomain } from './system.mjs'

/** @typedef {import('./system.mjs').System} System */
/** @typedef {import('./system.mjs').Domain} Domain */
/** @typedef {{ read: boolean, write: boolean }} Rights */
/** @typedef {Record<string, { object: number, rights?: Rights, executable?: boolean }>} Cap */
/** @typedef {{ name: string, object: string | Record<string, { size_bits?: number, level?: number, is_root?: boolean, slots?: { slot: number, cap: Cap }[] }> }} Thing */

/** The lowest bit of an address that a page table of each level decodes. @type {Record<number, number>} */
const LEVELS = { 0: 39, 1: 30, 2: 21, 3: 12 }

/** @param {string} report @param {string} title @returns {string[]} */
function section(report, title) {
  const found = report
    .split(/^# /m)
    .find((part) => part.startsWith(`${title}\n`) || part.startsWith(`${title}:`))
  if (found === undefined) throw new Error(`the report has no section "${title}"`)
  return found.split('\n').slice(1)
}

/** @param {string} prefix @param {string} name */
function without(prefix, name) {
  if (!name.startsWith(prefix)) throw new Error(`the report: expected ${prefix}…, found ${name}`)
  return name.slice(prefix.length)
}

/** Returns a frame's region. @param {string} frame */
function regionOf(frame) {
  const [, region, elf, stack, buffer] =
    /^frame_(?:mr_(.+)_\d{9}|elf_(.+)_\d{9}|(.+)_stack(?:_\d{9})?|ipcbuf_(.+))$/.exec(frame) ?? []
  if (region !== undefined) return region
  if (elf !== undefined) return `ELF:${elf}`
  if (stack !== undefined) return `STACK:${stack}`
  if (buffer !== undefined) return `IPC:${buffer}`
  throw new Error(`a page of no region: ${frame}`)
}

/** Reads the threads: their priorities, and the objects they run with. @param {System} system @param {string[]} lines */
function readThreads(system, lines) {
  let domain = newDomain('')
  for (const line of lines) {
    const thread = /^\t- TCB: 'tcb_(.+)'$/.exec(line)?.[1]
    const priority = /^\t\t\* Priority: (\d+)$/.exec(line)?.[1]
    const [, kind, name] = /^\t\t\t-> (.+): '(.+)'$/.exec(line) ?? []
    if (thread !== undefined) {
      domain = newDomain(thread)
      system.domains.set(thread, domain)
    } else if (priority !== undefined) {
      domain.priority = Number(priority)
    } else if (kind === 'Fault Endpoint') {
      domain.faults = faultsTo(name ?? '')
    } else if (kind !== undefined && !own(domain.name).includes(`${kind} ${name}`)) {
      domain.strange.push(`runs with ${kind} ${name}`)
    }
  }
}

/** Returns the objects that a thread must run with. @param {string} name */
const own = (name) => [
  name === MONITOR ? `CSpace cnode_${name}` : `CSpace cnode_${name}_root`,
  `VSpace pud_${name}`,
  `IPC Buffer frame_ipcbuf_${name}`,
  `Scheduling Context sched_context_${name}`,
  `Notification ntfn_${name}`,
]

/** @param {string} endpoint */
const faultsTo = (endpoint) => without('ep_', endpoint).replace(/^fault_/, '')

/** Reads the tables of capabilities. @param {System} system @param {string[]} lines */
function readTables(system, lines) {
  let table = ''
  for (const line of lines) {
    table = /^\t- CNode: 'cnode_(.+)'$/.exec(line)?.[1] ?? table
    const object = /^\t\t\t-> Object: '(.+)'$/.exec(line)?.[1]
    if (object === undefined || table === MONITOR) continue
    const root = table.endsWith('_root') ? system.domains.get(table.slice(0, -'_root'.length)) : undefined
    const domain = system.domains.get(table) ?? root
    if (domain === undefined) throw new Error(`the capabilities of ${table}, which is not a domain`)
    if (root === undefined || object !== `cnode_${domain.name}`) hold(domain, object)
  }
}

/** @param {Domain} domain @param {string} object */
function hold(domain, object) {
  const { name } = domain
  const [, kind = '', of = ''] = /^([a-z]+)_(.+)$/.exec(object) ?? []
  if (kind === 'ntfn') {
    if (of !== name) domain.notifies.push(of)
  } else if (kind === 'tcb') {
    domain.controls.push(of)
  } else if (kind === 'irq') {
    domain.irqs.push(Number(/^(\d+)_/.exec(of)?.[1]))
  } else if (kind === 'ep') {
    // A domain may hold its own endpoint, and the endpoint that receives its faults.
    if (of !== name && faultsTo(object) !== domain.faults) domain.strange.push(object)
  } else if (!['pud', 'reply'].includes(kind) || of !== name) {
    domain.strange.push(object)
  }
}

/** Reads the physical addresses of memory. @param {System} system @param {string[]} lines @returns {Set<string>} names of frames */
function readPlaces(system, lines) {
  /** @type {Set<string>} */
  const frames = new Set()
  for (const line of lines) {
    const [, size, unit, frame = '', at = ''] =
      /^\t\d+ - Page\((\d+) (KiB|MiB)\): '(.+)' @ (0x[0-9a-f]+)$/.exec(line) ?? []
    if (size === undefined) continue
    const region = regionOf(frame)
    const bytes = Number(size) * (unit === 'KiB' ? 1024 : 1024 * 1024)
    system.regions.set(region, [...(system.regions.get(region) ?? []), { from: Number(at), bytes }])
    frames.add(frame)
  }
  return frames
}

class Specification {
  /** @param {{ objects: Thing[] }} specification @param {Set<string>} placed frames that the report lists */
  constructor({ objects }, placed) {
    this.objects = objects
    this.placed = placed
  }

  /** @param {number} index @param {string} kind */
  object(index, kind) {
    const { name, object } = this.objects[index] ?? {}
    const found = typeof object === 'object' ? object[kind] : undefined
    if (name === undefined || found === undefined) throw new Error(`object ${index} is no ${kind}`)
    return { name, ...found }
  }

  /** Returns the mappings of a page table and of the tables below it. @param {number} index @param {number} base @returns {import('./system.mjs').Mapping[]} */
  mappings(index, base) {
    const { level = -1, slots = [] } = this.object(index, 'PageTable')
    const bit = LEVELS[level]
    if (bit === undefined) throw new Error(`a page table of level ${level}`)
    return slots.flatMap(({ slot, cap }) => {
      const at = base + slot * 2 ** bit
      if (cap['PageTable'] !== undefined) return this.mappings(cap['PageTable'].object, at)
      const frame = cap['Frame']
      if (frame === undefined || frame.rights === undefined)
        throw new Error(`a page table has ${Object.keys(cap).join()}`)
      const { name, size_bits: bits = 0 } = this.object(frame.object, 'Frame')
      const { write } = frame.rights
      return [{ region: regionOf(name), at, bytes: 2 ** bits, write, execute: frame.executable === true }]
    })
  }

  /** @param {System} system */
  read(system) {
    for (const [index, { name, object }] of this.objects.entries()) {
      if (typeof object !== 'object') continue
      if (object['Frame'] !== undefined && !this.placed.has(name))
        throw new Error(`the report does not say where ${name} is`)
      if (object['PageTable']?.is_root === true) {
        const domain = system.domains.get(without('pud_', name))
        if (domain === undefined) throw new Error(`${name} is of no domain`)
        domain.mappings = joined(this.mappings(index, 0))
      } else if (object['ArmIrq'] !== undefined) {
        this.#interrupt(system, name, object['ArmIrq'].slots ?? [])
      } else if (object['Tcb'] !== undefined) {
        this.#thread(system, without('tcb_', name), object['Tcb'])
      }
    }
  }

  /** @param {System} system @param {string} name @param {{ slot: number, cap: Cap }[]} slots */
  #interrupt(system, name, slots) {
    const irq = Number(/^irq_(\d+)_/.exec(name)?.[1])
    const told = slots.map(({ cap }) => this.objects[cap['Notification']?.object ?? -1]?.name)
    for (const domain of system.domains.values()) {
      const rightly = told.length === 1 && told[0] === `ntfn_${domain.name}`
      if (domain.irqs.includes(irq) && !rightly)
        domain.strange.push(`interrupt ${irq}, which notifies ${told.join()}`)
    }
  }

  /** @param {System} system @param {string} name @param {{ slots?: { slot: number, cap: Cap }[], extra?: { prio: number, max_prio: number } }} thread */
  #thread(system, name, { slots = [], extra }) {
    const domain = system.domains.get(name)
    if (domain === undefined) throw new Error(`the thread of ${name}, which is not in the report`)
    const space = slots.flatMap(({ cap }) =>
      cap['PageTable'] === undefined ? [] : [cap['PageTable'].object],
    )
    const names = space.map((index) => this.object(index, 'PageTable').name)
    if (names.join() !== `pud_${name}`) domain.strange.push(`runs in ${names.join()}`)
    if (extra === undefined || extra.prio !== domain.priority || extra.max_prio > extra.prio)
      domain.strange.push(`may make priorities of ${extra?.max_prio}`)
  }
}

/** Reports whether a report is of SDK 2.3. @param {string} report */
export const isCapabilities = (report) => report.includes('\n# CNode Details\n')

/** @param {string} report @param {string} specification @returns {System} */
export function readCapabilities(report, specification) {
  /** @type {System} */
  const system = { source: 'the build report', domains: new Map(), regions: new Map() }
  readThreads(system, section(report, 'TCB Details'))
  readTables(system, section(report, 'CNode Details'))
  const frames = readPlaces(system, section(report, 'Kernel Objects Details'))
  new Specification(JSON.parse(specification), frames).read(system)
  return system
}
