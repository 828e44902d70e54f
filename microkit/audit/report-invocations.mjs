// Reads the report of SDK 2.0: a list of kernel objects with the capability of each, and the list of system calls that
// distribute them at boot. The audit follows the capabilities through those calls. It ignores the report's remarks in
// brackets.
import { joined, MONITOR, newDomain } from './system.mjs'

/** @typedef {import('./system.mjs').System} System */
/** @typedef {{ kind: string, name: string, bytes: number, from: number }} Thing */
/** @typedef {{ call: string, object: bigint, count: number, fields: Map<string, string> }} Call */

/** The address of the first slot of the table that has all capabilities. */
const SLOTS = 0x8000_0000_0000_0000n
const KiB = 1024
const WRITE = 1
const NEVER_EXECUTE = 4

/** @param {string} line @returns {[bigint, Thing] | undefined} */
function listed(line) {
  const found = /^ {4}(\S.*?) +\d+ cap_addr=([0-9a-f]+) phys_addr=([0-9a-f]+)$/.exec(line)
  if (found === null) return undefined
  const [, label = '', address = '', physical = ''] = found
  const from = Number.parseInt(physical, 16)
  const page = /^Page\((\d+) (KiB|MiB)\): (.*)$/.exec(label)
  if (page !== null) {
    const bytes = Number(page[1]) * (page[2] === 'KiB' ? KiB : KiB * KiB)
    return [BigInt(`0x${address}`), { kind: 'Page', name: regionOf(page[3] ?? ''), bytes, from }]
  }
  const [, kind = label, name = ''] = /^(.*?): (?:PD=)?(\S*)/.exec(label) ?? []
  return [BigInt(`0x${address}`), { kind, name, bytes: 0, from }]
}

/** @param {string} label `MR=uart @ 9000000`, `MR=ELF:blk-0 @ …`, `MR=STACK:blk #0`, `IPC Buffer PD=blk` */
function regionOf(label) {
  const buffer = /^IPC Buffer PD=(\S+)$/.exec(label)
  if (buffer !== null) return `IPC:${buffer[1]}`
  const region = /^MR=(\S+) [@#]/.exec(label)?.[1]
  if (region === undefined) throw new Error(`a page of no region: ${label}`)
  return region.startsWith('ELF:') ? region.replace(/-\d+$/, '') : region
}

/** @param {string} text @returns {Call[]} */
function calls(text) {
  /** @type {Call[]} */
  const all = []
  for (const line of text.split('\n')) {
    const head = /^ {4}0x[0-9a-f]{4} (\S.*?) +- (\S.*?) +- (0x[0-9a-f]{16}) /.exec(line)
    const field = /^ {9}(\S.*?) {2,}(\S+)/.exec(line)
    const repeat = /^ {6}REPEAT: count=(\d+)$/.exec(line)
    const last = all.at(-1)
    if (head !== null) {
      const call = `${head[1]} ${head[2]}`
      all.push({ call, object: BigInt(head[3] ?? ''), count: 1, fields: new Map() })
    } else if (repeat !== null && last !== undefined) {
      last.count = Number(repeat[1])
    } else if (field !== null && last !== undefined) {
      last.fields.set(field[1]?.replace(' (cap)', '') ?? '', field[2] ?? '')
    }
  }
  return all
}

/** The calls that the audit follows. The calls in OTHERS give no domain a capability of another domain. */
const FOLLOWED = new Set([
  'CNode Mint',
  'Page Map',
  'TCB SetSchedParams',
  'TCB SetSpace',
  'IRQ Control Get',
  'IRQ Handler SetNotification',
])
const OTHERS = new Set([
  'Untyped Retype',
  'ASID Pool Assign',
  'Page Table Map',
  'SchedControl ConfigureFlags',
  'TCB BindNotification',
  'TCB Resume',
  'TCB SetIPCBuffer',
  'TCB WriteRegisters',
])

class Boot {
  /** @type {Map<bigint, Thing>} */
  things = new Map()
  /** Copies of capabilities, with fewer rights. @type {Map<bigint, { thing: Thing, rights: number }>} */
  copies = new Map()
  /** @type {System} */
  system = { source: 'the build report', domains: new Map(), regions: new Map() }

  /** @param {bigint} address */
  look(address) {
    const copy = this.copies.get(address)
    const original = this.things.get(address)
    if (copy !== undefined) return copy
    if (original === undefined)
      throw new Error(`the report does not list the capability 0x${address.toString(16)}`)
    return { thing: original, rights: 15 }
  }

  /** @param {Thing} of */
  domain({ kind, name }) {
    const domain = this.system.domains.get(name)
    if (domain === undefined) throw new Error(`${kind} ${name} is of no domain`)
    return domain
  }

  /** @param {Call} call */
  follow({ call, object, count, fields }) {
    /** @param {string} name */
    const number = (name) => Number(this.#field(call, fields, name))
    /** @param {string} name */
    const address = (name) => BigInt(this.#field(call, fields, name))
    for (let i = 0; i < count; i++) {
      const at = object + BigInt(i)
      if (call === 'CNode Mint') {
        this.#mint(at, i, object, address('src_obj') + BigInt(i), number('dest_index'), number('rights'))
      } else if (call === 'Page Map') {
        this.#mapPage(
          this.look(at),
          this.look(address('vspace')).thing,
          number('vaddr'),
          i,
          number('rights'),
          number('attr'),
        )
      } else if (call === 'TCB SetSchedParams') {
        const domain = this.domain(this.look(at).thing)
        domain.priority = number('priority')
        if (number('mcp') !== domain.priority) domain.strange.push(`may make priorities of ${number('mcp')}`)
      } else if (call === 'TCB SetSpace') {
        this.#space(
          at,
          address('fault_ep') + BigInt(i),
          address('cspace_root') + BigInt(i),
          address('vspace_root') + BigInt(i),
        )
      } else if (call === 'IRQ Control Get') {
        const kind = 'IRQ Handler'
        this.things.set(address('dest_index'), { kind, name: `${number('irq')}`, bytes: 0, from: 0 })
      } else if (call === 'IRQ Handler SetNotification') {
        const { thing } = this.look(at)
        this.told.set(thing.name, this.look(address('notification')).thing.name)
      }
    }
  }

  /** The domain that each interrupt notifies. @type {Map<string, string>} */
  told = new Map()

  /** @param {string} call @param {Map<string, string>} fields @param {string} name */
  #field(call, fields, name) {
    const value = fields.get(name)
    if (value === undefined) throw new Error(`${call} has no ${name}`)
    return value
  }

  /**
   * Copies to consecutive slots of the table of all capabilities, or to the same slot of each domain's table.
   *
   * @param {bigint} table @param {number} i @param {bigint} first @param {bigint} source @param {number} slot
   * @param {number} rights
   */
  #mint(table, i, first, source, slot, rights) {
    const { thing } = this.look(source)
    const into = this.things.get(first)
    if (into === undefined) {
      this.copies.set(SLOTS + BigInt(slot + i), { thing, rights })
      return
    }
    if (into.kind !== 'CNode') throw new Error(`a capability is put into ${into.kind} ${into.name}`)
    const domain = this.domain(this.look(table).thing)
    const own = thing.name === domain.name
    if (thing.kind === 'Notification') {
      if (!own) domain.notifies.push(thing.name)
    } else if (thing.kind === 'TCB') {
      domain.controls.push(thing.name)
    } else if (thing.kind === 'IRQ Handler') {
      domain.irqs.push(Number(thing.name))
    } else if (!own || !['EP', 'Reply', 'VSpace'].includes(thing.kind)) {
      domain.strange.push(`${thing.kind} ${thing.name}`)
    }
  }

  /**
   * @param {{ thing: Thing, rights: number }} page @param {Thing} space @param {number} vaddr @param {number} i
   * @param {number} rights @param {number} attributes
   */
  #mapPage({ thing, rights: most }, space, vaddr, i, rights, attributes) {
    if (thing.kind !== 'Page') throw new Error(`${thing.kind} ${thing.name} is mapped as a page`)
    this.domain(space).mappings.push({
      region: thing.name,
      at: vaddr + i * thing.bytes,
      bytes: thing.bytes,
      write: (rights & most & WRITE) !== 0,
      execute: (attributes & NEVER_EXECUTE) === 0,
    })
  }

  /** @param {bigint} thread @param {bigint} faults @param {bigint} table @param {bigint} space */
  #space(thread, faults, table, space) {
    const domain = this.domain(this.look(thread).thing)
    const endpoint = this.look(faults).thing
    domain.faults = endpoint.name === 'Monitor' ? MONITOR : endpoint.name
    for (const address of [table, space]) {
      const { thing } = this.look(address)
      if (thing.name !== domain.name) domain.strange.push(`runs with ${thing.kind} ${thing.name}`)
    }
  }
}

/** Reports whether a report is of SDK 2.0. @param {string} report */
export const isInvocations = (report) => report.includes('\n# System Kernel Invocations Detail\n')

/** @param {string} report @returns {System} */
export function readInvocations(report) {
  const boot = new Boot()
  const { system } = boot
  for (const line of report.split('\n')) {
    const found = listed(line)
    if (found === undefined) continue
    const [address, { kind, name, bytes, from }] = found
    boot.things.set(address, found[1])
    if (kind === 'TCB') system.domains.set(name, newDomain(name))
    if (kind === 'Page') system.regions.set(name, [...(system.regions.get(name) ?? []), { from, bytes }])
  }
  const [, detail = ''] = report.split('\n# System Kernel Invocations Detail\n')
  for (const call of calls(detail)) {
    if (FOLLOWED.has(call.call)) boot.follow(call)
    else if (!OTHERS.has(call.call))
      throw new Error(`the report has a call that is unknown to the audit: ${call.call}`)
  }
  for (const domain of system.domains.values()) {
    domain.mappings = joined(domain.mappings)
    for (const irq of domain.irqs) {
      const told = boot.told.get(`${irq}`)
      if (told !== domain.name) domain.strange.push(`interrupt ${irq}, which notifies ${told}`)
    }
  }
  return system
}
