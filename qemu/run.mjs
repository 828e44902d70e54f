// Boots an image of the appliance in QEMU, headless.
//   node qemu/run.mjs IMAGE --disk FILE [--keys FILE] [--forward HOST:GUEST]… [--timeout SECONDS]
// prints the appliance's serial port until Ctrl-C or the timeout.
import { spawn, spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { DATA_DISK, ENTROPY, KEY_DISK, NETWORK } from '../microkit/generate.mjs'

const QEMU = 'qemu-system-aarch64'
const LOAD_AT = '0x70000000'

/**
 * A disk image, and how the appliance's device behaves.
 *
 * @typedef {{ file: string, served?: boolean, flush?: boolean, readOnly?: boolean, failing?: 'read' | 'write' | 'flush', after?: number }} Disk
 *   `served`: `file` is the Unix socket of an NBD server for the image; `flush`: false makes a device without a write cache,
 *   which offers no FLUSH; `failing`: these operations fail; with `after`, only those on the sector at that byte of the image
 * @typedef {{ image: string, disk?: Disk, keys?: Disk, forward?: { host: number, guest: number }[],
 *   wire?: { here: number, there: number }, memory?: string }} Machine `wire`: replaces QEMU's user network by UDP: each
 *   frame is a datagram between two ports of this host, QEMU's and the other end's
 */

/** Reports whether QEMU is installed. */
export const hasQemu = () => spawnSync(QEMU, ['--version']).status === 0

/**
 * @param {string} id
 * @param {Disk} disk
 * @param {number} transport
 * @returns {[string, string][]}
 */
function diskArgs(id, { file, served, flush = true, readOnly = false, failing, after = 0 }, transport) {
  const cache = { direct: false, 'no-flush': false }
  const plain = served
    ? { driver: 'nbd', server: { type: 'unix', path: file }, cache }
    : { driver: 'file', filename: file, cache }
  const failure = {
    event: 'none',
    iotype: failing,
    errno: 5,
    once: false,
    // A flush concerns no sector.
    ...(failing === 'flush' || after === 0 ? {} : { sector: after / 512 }),
  }
  const bottom =
    failing === undefined ? plain : { driver: 'blkdebug', image: plain, 'inject-error': [failure] }
  const node = { driver: 'raw', 'node-name': id, 'read-only': readOnly, file: bottom }
  const wce = flush ? 'write-cache=on' : 'write-cache=off,config-wce=off'
  const device = `virtio-blk-device,drive=${id},bus=virtio-mmio-bus.${transport},${wce}`
  return [
    ['-blockdev', JSON.stringify(node)],
    ['-device', `${device},werror=report,rerror=report`],
  ]
}

/** @param {Machine} machine */
function network({ forward = [], wire }) {
  if (wire !== undefined) {
    return `socket,id=network,udp=127.0.0.1:${wire.there},localaddr=127.0.0.1:${wire.here}`
  }
  const ports = forward.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`).join('')
  return `user,id=network,restrict=on${ports}`
}

/** @param {Machine} machine */
export function qemuArgs(machine) {
  const { image, disk, keys, memory = '2G' } = machine
  /** @type {[string, string][]} */
  const options = [
    ['-machine', 'virt,virtualization=on'],
    ['-cpu', 'cortex-a53'],
    ['-m', memory],
    ['-display', 'none'],
    ['-monitor', 'none'],
    ['-serial', 'stdio'],
    ['-global', 'virtio-mmio.force-legacy=false'],
    ['-device', `loader,file=${image},addr=${LOAD_AT},cpu-num=0`],
    ['-object', 'rng-random,filename=/dev/urandom,id=entropy'],
    ['-device', `virtio-rng-device,rng=entropy,bus=virtio-mmio-bus.${ENTROPY}`],
    ['-netdev', network(machine)],
    ['-device', `virtio-net-device,netdev=network,bus=virtio-mmio-bus.${NETWORK}`],
  ]
  if (disk !== undefined) options.push(...diskArgs('data', disk, DATA_DISK))
  if (keys !== undefined) options.push(...diskArgs('keys', keys, KEY_DISK))
  return options.flat()
}

/** A booted machine. */
export class Appliance {
  /** The console's text so far. */
  console = ''
  /** @type {Promise<number | null>} */
  exited
  #process
  /** @type {Set<() => void>} */
  #listeners = new Set()
  #ended = false

  /** @param {Machine} machine @param {{ echo?: boolean }} [options] */
  constructor(machine, { echo = false } = {}) {
    this.#process = spawn(QEMU, qemuArgs(machine), { stdio: ['ignore', 'pipe', 'pipe'] })
    /** @param {Buffer} bytes */
    const take = (bytes) => {
      this.console += bytes.toString('latin1').replaceAll('\r', '')
      if (echo) process.stdout.write(bytes)
      for (const listener of this.#listeners) listener()
    }
    this.#process.stdout.on('data', take)
    this.#process.stderr.on('data', take)
    this.exited = new Promise((resolve) => {
      /** @param {number | null} code */
      const ended = (code) => {
        this.#ended = true
        for (const listener of this.#listeners) listener()
        resolve(code)
      }
      this.#process.on('error', (error) => {
        this.console += `${QEMU}: ${error.message}\n`
        ended(null)
      })
      this.#process.on('close', ended)
    })
  }

  /** The process to kill for a power cut. */
  get pid() {
    return this.#process.pid
  }

  /**
   * Waits until the pattern matches the console's text, all of it since the boot. Rejects with that text after the time limit or when QEMU
   * ends.
   *
   * @param {RegExp} pattern
   * @param {number} [milliseconds]
   * @returns {Promise<RegExpExecArray>}
   */
  async until(pattern, milliseconds = 30_000) {
    /** @type {RegExpExecArray | null} */
    let found = null
    await /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        /** @param {string} why */
        const fail = (why) => {
          done()
          reject(new Error(`${pattern} ${why}; the console:\n${this.console}`))
        }
        const timer = setTimeout(() => fail(`did not appear within ${milliseconds} ms`), milliseconds)
        const look = () => {
          found = pattern.exec(this.console)
          if (found !== null) {
            done()
            resolve()
          } else if (this.#ended) {
            fail('did not appear before QEMU ended')
          }
        }
        const done = () => {
          clearTimeout(timer)
          this.#listeners.delete(look)
        }
        this.#listeners.add(look)
        look()
      })
    )
    return /** @type {RegExpExecArray} */ (/** @type {unknown} */ (found))
  }

  /** Simulates a power cut: SIGKILL. Writes that have reached the host's kernel stay. */
  async kill() {
    this.#process.kill('SIGKILL')
    await this.exited
  }

  /** Stops QEMU after it has written its cached sectors. Returns its exit status. */
  async stop() {
    this.#process.kill('SIGTERM')
    return this.exited
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      disk: { type: 'string' },
      keys: { type: 'string' },
      forward: { type: 'string', multiple: true },
      timeout: { type: 'string' },
    },
  })
  const [image] = positionals
  if (image === undefined)
    throw new Error(
      'usage: node qemu/run.mjs IMAGE --disk FILE [--keys FILE] [--forward HOST:GUEST]… [--timeout SECONDS]',
    )
  const forward = (values.forward ?? []).map((pair) => {
    const [host, guest] = pair.split(':').map(Number)
    if (!host || !guest) throw new Error(`--forward ${pair}: expected HOST:GUEST, two ports`)
    return { host, guest }
  })
  /** @type {Machine} */
  const machine = { image, forward }
  if (values.disk !== undefined) machine.disk = { file: values.disk }
  if (values.keys !== undefined) machine.keys = { file: values.keys }
  const appliance = new Appliance(machine, { echo: true })
  process.on('SIGINT', () => void appliance.stop())
  process.on('SIGTERM', () => void appliance.stop())
  if (values.timeout !== undefined)
    setTimeout(() => void appliance.stop(), 1000 * Number(values.timeout)).unref()
  process.exitCode = (await appliance.exited) === 0 ? 0 : 1
}
