// The audit's model of a system, and the reader of the input of Microkit's tool. The reader rejects anything unknown,
// because it could grant a capability.

/**
 * `at` and `bytes`: virtual addresses of a mapping. `from` and `bytes`: physical addresses of a range.
 *
 * @typedef {{ region: string, at: number, bytes: number, write: boolean, execute: boolean }} Mapping
 * @typedef {{ from: number, bytes: number }} Range
 * @typedef {{ name: string, priority: number, mappings: Mapping[], irqs: number[], notifies: string[],
 *   controls: string[], faults: string, physical: string[], strange: string[] }} Domain `notifies`: a domain for each
 *   channel; `controls`: domains whose threads it may stop and change; `faults`: the domain that receives its faults;
 *   `physical`: regions whose physical address it knows; `strange`: anything else that it holds
 * @typedef {{ source: string, domains: Map<string, Domain>, regions: Map<string, Range[]> }} System `regions`: with their
 *   physical addresses, if known
 */

/** Microkit's monitor, which receives the faults of domains without a parent. */
export const MONITOR = 'monitor'

/** @param {string} name @returns {Domain} */
export const newDomain = (name) => ({
  name,
  priority: 0,
  mappings: [],
  irqs: [],
  notifies: [],
  controls: [],
  faults: MONITOR,
  physical: [],
  strange: [],
})

/** Joins adjacent mappings of one region. @param {Mapping[]} mappings */
export function joined(mappings) {
  /** @type {Mapping[]} */
  const all = []
  for (const mapping of mappings.toSorted((a, b) => a.at - b.at)) {
    const before = all.at(-1)
    const isAdjacent =
      before !== undefined &&
      before.region === mapping.region &&
      before.at + before.bytes === mapping.at &&
      before.write === mapping.write &&
      before.execute === mapping.execute
    if (isAdjacent) before.bytes += mapping.bytes
    else all.push({ ...mapping })
  }
  return all
}

/** @typedef {{ name: string, attributes: Record<string, string>, inside: Element[] }} Element */

/** The known elements, with their known attributes. @type {Record<string, string[]>} */
const KNOWN = {
  system: [],
  memory_region: ['name', 'size', 'page_size', 'phys_addr'],
  protection_domain: ['name', 'id', 'priority', 'budget', 'period', 'stack_size'],
  program_image: ['path'],
  map: ['mr', 'vaddr', 'perms', 'cached'],
  irq: ['irq', 'id', 'trigger'],
  setvar: ['symbol', 'region_paddr'],
  channel: [],
  end: ['pd', 'id'],
}

/** @param {string} text @returns {Element} */
function elements(text) {
  /** @type {Element} */
  const top = { name: '', attributes: {}, inside: [] }
  const open = [top]
  const body = text.replace(/^<\?xml [^>]*\?>/, '')
  const between = body.replaceAll(
    /<(\/?)(\w+)((?:\s+\w+="[^"<>]*")*)\s*(\/?)>/g,
    (_, end, name, list, empty) => {
      if (end !== '') {
        if (open.length < 2 || open.pop()?.name !== name) throw new Error(`</${name}> without <${name}>`)
        return ''
      }
      const pairs = [...list.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value])
      /** @type {Element} */
      const element = { name, attributes: Object.fromEntries(pairs), inside: [] }
      const strange =
        KNOWN[name] === undefined
          ? ['']
          : pairs.map(([key]) => key).filter((key) => !KNOWN[name]?.includes(key))
      if (strange.length > 0) throw new Error(`unknown to the audit: <${name} ${strange.join(' ')}>`)
      open.at(-1)?.inside.push(element)
      if (empty === '') open.push(element)
      return ''
    },
  )
  if (between.trim() !== '' || open.length > 1)
    throw new Error('the description is not XML of the form that generate.mjs writes')
  return top
}

/** @param {Element} element @param {string} name */
const all = (element, name) => element.inside.filter((inner) => inner.name === name)
/** @param {Element} element @param {string} name */
function attribute({ name: kind, attributes }, name) {
  const value = attributes[name]
  if (value === undefined) throw new Error(`<${kind}> has no ${name}`)
  return value
}

/** @param {System} system @param {Map<string, number>} sizes @param {Element} element @param {string} parent */
function readDomain(system, sizes, element, parent) {
  const domain = newDomain(attribute(element, 'name'))
  if (system.domains.has(domain.name)) throw new Error(`two domains have the name ${domain.name}`)
  system.domains.set(domain.name, domain)
  domain.priority = Number(attribute(element, 'priority'))
  domain.faults = parent
  domain.irqs = all(element, 'irq').map((irq) => Number(attribute(irq, 'irq')))
  domain.physical = all(element, 'setvar').map((setvar) => attribute(setvar, 'region_paddr'))
  domain.mappings = joined(
    all(element, 'map').map((map) => {
      const region = attribute(map, 'mr')
      const perms = attribute(map, 'perms')
      const bytes = sizes.get(region)
      if (bytes === undefined) throw new Error(`${domain.name} maps the unknown region ${region}`)
      if (!/^r?w?x?$/.test(perms)) throw new Error(`${domain.name} maps ${region}: perms="${perms}"`)
      const at = Number(attribute(map, 'vaddr'))
      return { region, at, bytes, write: perms.includes('w'), execute: perms.includes('x') }
    }),
  )
  for (const child of all(element, 'protection_domain')) {
    domain.controls.push(attribute(child, 'name'))
    readDomain(system, sizes, child, domain.name)
  }
}

/** Reads the input of Microkit's tool. @param {string} xml @returns {System} */
export function readDescription(xml) {
  /** @type {System} */
  const system = { source: 'the description', domains: new Map(), regions: new Map() }
  const [top] = elements(xml).inside
  if (top?.name !== 'system') throw new Error('the description has no <system>')
  /** @type {Map<string, number>} */
  const sizes = new Map()
  for (const region of all(top, 'memory_region')) {
    const name = attribute(region, 'name')
    if (sizes.has(name)) throw new Error(`two regions have the name ${name}`)
    const bytes = Number(attribute(region, 'size'))
    const device = region.attributes['phys_addr']
    sizes.set(name, bytes)
    system.regions.set(name, device === undefined ? [] : [{ from: Number(device), bytes }])
  }
  for (const domain of all(top, 'protection_domain')) readDomain(system, sizes, domain, MONITOR)
  for (const channel of all(top, 'channel')) {
    const ends = all(channel, 'end').map((end) => attribute(end, 'pd'))
    const [one, other] = ends.map((name) => system.domains.get(name))
    if (ends.length !== 2 || one === undefined || other === undefined)
      throw new Error(`a channel of ${ends.join(' and ')}`)
    one.notifies.push(other.name)
    other.notifies.push(one.name)
  }
  return system
}
