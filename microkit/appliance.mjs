// The class Appliance: a system description with the parts that several domains of the appliance use.
import { Description } from './description.mjs'

// QEMU's virt machine. A page holds eight virtio transports.
const TRANSPORT = 0xa00_0000
const TRANSPORT_SIZE = 0x200
const TRANSPORT_IRQ = 48

export const PAGE = 0x1000
const RING_SIDE = 0x2000

const LIB = ['lib/memory.c', 'lib/text.c', 'lib/console.c']

/** @typedef {import('./description.mjs').End} End */

/**
 * @typedef {{ moduleId: string, origin?: string, port?: number, program?: string[], script?: string }} Tenant For tests,
 *   `program` replaces the ledger by C sources, relative to the folder of the list, and `script` replaces the bundle by
 *   JavaScript
 */

export class Appliance extends Description {
  /** @type {string[]} */
  consoles = []

  /**
   * Adds a domain with a console.
   *
   * @param {string} name
   * @param {Parameters<Description['domain']>[1]} options
   */
  part(name, options) {
    this.domain(name, { ...options, sources: [...options.sources, ...LIB] })
    const index = this.consoles.push(name) - 1
    this.region(`console_${name}`, PAGE)
    this.map(`console_${name}`, name, 'rw', { name: 'console' })
    this.map(`console_${name}`, 'supervisor', 'r', { name: 'consoles', index })
    this.channel(name, { name: 'console' }, 'supervisor', { name: 'consoles', index })
  }

  /**
   * Adds the rings between two domains, and their channel.
   *
   * @param {string} one
   * @param {End} oneEnd its name in `one`
   * @param {string} other
   * @param {End} otherEnd its name in `other`
   */
  rings(one, oneEnd, other, otherEnd) {
    this.channel(one, oneEnd, other, otherEnd)
    const sides = [
      [one, oneEnd, other, otherEnd],
      [other, otherEnd, one, oneEnd],
    ]
    for (const [mine, myEnd, theirs, theirEnd] of /** @type {[string, End, string, End][]} */ (sides)) {
      const region = `ring_${mine}_to_${theirs}`
      this.region(region, RING_SIDE)
      this.map(region, mine, 'rw', { ...myEnd, name: `${myEnd.name}_ring_mine` })
      this.map(region, theirs, 'r', { ...theirEnd, name: `${theirEnd.name}_ring_theirs` })
    }
  }

  /**
   * Gives a domain a virtio device: its registers, its interrupt, and pages that it may access.
   *
   * @param {string} domain
   * @param {number} transport
   * @param {number} pages
   */
  virtio(domain, transport, pages) {
    this.region(`${domain}_device`, PAGE, { device: TRANSPORT + transport * TRANSPORT_SIZE })
    this.map(`${domain}_device`, domain, 'rw', { name: 'device' })
    this.irq(domain, TRANSPORT_IRQ + transport, 'edge', 'device')
    this.region(`${domain}_queue`, pages * PAGE)
    this.map(`${domain}_queue`, domain, 'rw', { name: 'queue' })
    this.physical(domain, 'queue_physical', `${domain}_queue`)
  }

  /** The number of clients of each service so far. @type {Record<string, number>} */
  #clients = {}

  /** @param {string} service */
  #client(service) {
    const index = this.#clients[service] ?? 0
    this.#clients[service] = index + 1
    return { name: 'clients', index }
  }

  /** Lets a domain set a deadline at which the clock wakes it. @param {string} domain */
  wake(domain) {
    const end = this.#client('clock')
    this.region(`deadline_${domain}`, PAGE)
    this.map(`deadline_${domain}`, domain, 'rw', { name: 'deadline' })
    this.map(`deadline_${domain}`, 'clock', 'r', { name: 'clients_deadline', index: end.index })
    this.channel(domain, { name: 'clock' }, 'clock', end)
  }

  /** Lets a domain read the time. @param {string} domain */
  time(domain) {
    this.map('time', domain, 'r', { name: 'time' })
  }

  /** Gives a domain random bytes. @param {string} domain */
  random(domain) {
    const end = this.#client('entropy')
    this.region(`random_${domain}`, PAGE)
    this.map(`random_${domain}`, domain, 'r', { name: 'random' })
    this.map(`random_${domain}`, 'entropy', 'rw', { name: 'clients_random', index: end.index })
    this.channel(domain, { name: 'entropy' }, 'entropy', end)
  }
}
