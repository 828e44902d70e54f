// The parts of a system description, and its two outputs: Microkit's XML and the C header. generate.mjs describes the
// appliance with them.
//
// Each domain has its own name for the end of a region or channel. The name becomes a macro: CH_NAME for a channel or an
// interrupt, AT_NAME and SIZE_NAME for a mapped region, CHILD_… for children. Ends with an index become a list, `{…}`, in
// the order of their indexes.

const SMALL_PAGE = 0x1000
const LARGE_PAGE = 0x200000
const LARGEST_CHANNEL = 61
const LONGEST_NAME = 63
// The addresses where regions are mapped: with small pages, with large pages, with a reach. All domains map a region at the same address.
const SMALL_BASE = 0x2000_0000
const LARGE_BASE = 0x4000_0000
const REACHING_BASE = 0x10_0000_0000

/**
 * @typedef {{ name: string, index?: number }} End
 * @typedef {{ region: string, perms: string, cached: boolean, end: End }} Mapping
 * @typedef {{ name: string, priority: number, budget: number, period: number, stack: number, sources: string[], parent?: string, child?: number,
 *   restartable: boolean, script?: string, irqs: { irq: number, id: number, trigger: string }[],
 *   physical: { symbol: string, region: string }[], mappings: Mapping[],
 *   channels: { id: number, end: End }[], defines: Record<string, string | number> }} Domain
 * @typedef {{ name: string, size: number, pageSize: number, address: number, device?: number }} Region
 */

/** @param {string} text */
const macro = (text) => text.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
/** @param {number} number */
const hex = (number) => `0x${number.toString(16)}`

export class Description {
  /** @type {Map<string, Domain>} */
  domains = new Map()
  /** @type {Map<string, Region>} */
  regions = new Map()
  /** @type {{ from: string, fromId: number, to: string, toId: number }[]} */
  channels = []
  #small = SMALL_BASE
  #large = LARGE_BASE
  #reaching = REACHING_BASE

  /**
   * Adds a domain. `budget`: the microseconds that the domain may run in each `period`. If both are equal, the domains of one priority take
   * turns.
   *
   * @param {string} name
   * @param {{ priority: number, budget?: number, period?: number, stack?: number, sources: string[], parent?: string, child?: number,
   *   restartable?: boolean, script?: string, defines?: Record<string, string | number> }} options
   */
  domain(
    name,
    { budget = 1000, period = budget, stack = 0x4000, defines = {}, restartable = false, ...options },
  ) {
    if (name.length > LONGEST_NAME) {
      throw new Error(
        `domain ${name}: expected a name of at most ${LONGEST_NAME} characters, found ${name.length}`,
      )
    }
    this.domains.set(name, {
      name,
      budget,
      period,
      stack,
      defines,
      restartable,
      irqs: [],
      physical: [],
      mappings: [],
      channels: [],
      ...options,
    })
  }

  /** @param {string} name */
  #domain(name) {
    const domain = this.domains.get(name)
    if (domain === undefined) throw new Error(`there is no domain ${name}`)
    return domain
  }

  /**
   * Adds a region of memory, or a device's registers if `device` is their physical address.
   *
   * @param {string} name
   * @param {number} size in bytes
   * @param {{ device?: number, reach?: number }} [options] `reach`: in this many bytes, counted from the region's first, nothing else is
   *   mapped
   */
  region(name, size, { reach, ...options } = {}) {
    // A tenant's name can make the names of two regions equal. Such regions must not become one.
    if (this.regions.has(name)) throw new Error(`two regions would be called ${name}`)
    const pageSize = size % LARGE_PAGE === 0 ? LARGE_PAGE : SMALL_PAGE
    if (size <= 0 || size % SMALL_PAGE !== 0) throw new Error(`the region ${name} has no whole pages`)
    const address = reach !== undefined ? this.#reaching : pageSize === SMALL_PAGE ? this.#small : this.#large
    // An unmapped page separates two regions.
    if (reach !== undefined) this.#reaching += reach + LARGE_PAGE
    else if (pageSize === SMALL_PAGE) this.#small += size + SMALL_PAGE
    else this.#large += size + LARGE_PAGE
    this.regions.set(name, { name, size, pageSize, address, ...options })
  }

  /**
   * @param {string} region
   * @param {string} domain
   * @param {'r' | 'rw'} perms
   * @param {End} end
   */
  map(region, domain, perms, end) {
    const cached = this.regions.get(region)?.device === undefined
    this.#domain(domain).mappings.push({ region, perms, cached, end })
  }

  /**
   * Sets the C variable `symbol` to the physical address of a region, for a device.
   *
   * @param {string} domain
   * @param {string} symbol
   * @param {string} region
   */
  physical(domain, symbol, region) {
    this.#domain(domain).physical.push({ symbol, region })
  }

  /**
   * @param {string} name
   * @param {End} end
   */
  #channel(name, end) {
    const domain = this.#domain(name)
    const id = domain.channels.length
    if (id > LARGEST_CHANNEL) throw new Error(`${name} has more than ${LARGEST_CHANNEL + 1} channels`)
    domain.channels.push({ id, end })
    return id
  }

  /**
   * @param {string} domain
   * @param {number} irq
   * @param {'level' | 'edge'} trigger
   * @param {string} name
   */
  irq(domain, irq, trigger, name) {
    this.#domain(domain).irqs.push({ irq, id: this.#channel(domain, { name }), trigger })
  }

  /**
   * @param {string} from
   * @param {End} fromEnd
   * @param {string} to
   * @param {End} toEnd
   */
  channel(from, fromEnd, to, toEnd) {
    const fromId = this.#channel(from, fromEnd)
    this.channels.push({ from, fromId, to, toId: this.#channel(to, toEnd) })
  }

  /** Returns Microkit's system description. */
  xml() {
    const lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<system>']
    for (const region of this.regions.values()) {
      const device = region.device === undefined ? '' : ` phys_addr="${hex(region.device)}"`
      lines.push(
        `    <memory_region name="${region.name}" size="${hex(region.size)}" page_size="${hex(region.pageSize)}"${device} />`,
      )
    }
    for (const domain of this.domains.values()) {
      if (domain.parent === undefined) lines.push(...this.#domainXml(domain, '    '))
    }
    for (const { from, fromId, to, toId } of this.channels) {
      lines.push(
        '    <channel>',
        `        <end pd="${from}" id="${fromId}" />`,
        `        <end pd="${to}" id="${toId}" />`,
        '    </channel>',
      )
    }
    lines.push('</system>', '')
    return lines.join('\n')
  }

  /**
   * @param {Domain} domain
   * @param {string} indent
   * @returns {string[]}
   */
  #domainXml(domain, indent) {
    const child = domain.child === undefined ? '' : ` id="${domain.child}"`
    const inside = `${indent}    `
    const children = [...this.domains.values()].filter((other) => other.parent === domain.name)
    return [
      `${indent}<protection_domain name="${domain.name}"${child} priority="${domain.priority}" budget="${domain.budget}" period="${domain.period}" stack_size="${hex(domain.stack)}">`,
      `${inside}<program_image path="${domain.name}.elf" />`,
      ...domain.mappings.map(({ region, perms, cached }) => {
        const at = /** @type {Region} */ (this.regions.get(region)).address
        return `${inside}<map mr="${region}" vaddr="${hex(at)}" perms="${perms}" cached="${cached}" />`
      }),
      ...domain.irqs.map(
        ({ irq, id, trigger }) => `${inside}<irq irq="${irq}" id="${id}" trigger="${trigger}" />`,
      ),
      ...domain.physical.map(
        ({ symbol, region }) => `${inside}<setvar symbol="${symbol}" region_paddr="${region}" />`,
      ),
      ...children.flatMap((other) => this.#domainXml(other, inside)),
      `${indent}</protection_domain>`,
    ]
  }

  /**
   * Returns the header that C sources include as config.h.
   *
   * @param {Record<string, string | number>} common
   */
  header(common) {
    const lines = [
      '/* Generated from the description of the appliance: microkit/generate.mjs. */',
      '#pragma once',
      '',
    ]
    for (const [name, value] of Object.entries(common)) lines.push(`#define ${name} ${value}`)
    for (const domain of this.domains.values()) {
      lines.push('', `#ifdef DOMAIN_${macro(domain.name)}`)
      for (const [name, value] of this.#macros(domain)) lines.push(`#define ${name} ${value}`)
      lines.push('#endif')
    }
    return [...lines, ''].join('\n')
  }

  /**
   * @param {Domain} domain
   * @returns {Map<string, string>}
   */
  #macros(domain) {
    /** @type {Map<string, string>} */
    const macros = new Map()
    /** @type {Map<string, string[]>} */
    const lists = new Map()
    /**
     * @param {string} prefix
     * @param {End} end
     * @param {number} value
     */
    const add = (prefix, { name, index }, value) => {
      const key = `${prefix}_${macro(name)}`
      const text = prefix === 'CH' ? `${value}` : hex(value)
      if (index === undefined) {
        macros.set(key, text)
      } else if (prefix === 'SIZE') {
        if (macros.has(key) && macros.get(key) !== text)
          throw new Error(`${key} has two values in ${domain.name}`)
        macros.set(key, text)
      } else {
        const list = lists.get(key) ?? []
        list[index] = text
        lists.set(key, list)
      }
    }
    for (const { id, end } of domain.channels) add('CH', end, id)
    for (const { region, end } of domain.mappings) {
      const { address, size } = /** @type {Region} */ (this.regions.get(region))
      add('AT', end, address)
      add('SIZE', end, size)
    }
    for (const [name, list] of lists) macros.set(name, `{${list.join(', ')}}`)
    for (const [name, value] of Object.entries(domain.defines)) macros.set(name, `${value}`)
    return macros
  }
}
