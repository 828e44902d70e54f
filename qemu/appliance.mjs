// Builds the appliance and boots it in QEMU, with a data disk, a key disk and a port of this machine for each tenant.
//   node qemu/appliance.mjs [--totebox FILE] [--root DIR] [--disk FILE] [--disk-size SIZE] [--keys FILE]
//     [--forward PORT:GUEST]… [--config release|debug] [--compiler gcc|clang] [--memory SIZE]
// Creates empty disks if they do not exist. Prints the appliance's console until Ctrl-C. Exit status 0: stopped by a signal;
// 1: it could not be built or booted, or QEMU failed; 2: wrong usage.
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from '../microkit/build.mjs'
import { check } from '../microkit/generate.mjs'
import { Appliance } from './run.mjs'
import { provide } from './tools.mjs'

const HELP = `usage: node qemu/appliance.mjs [options]
  --totebox FILE         the list of tenants (microkit/totebox.json)
  --root DIR             the folder of the disks (data/appliance)
  --disk FILE            the data disk (data.img in --root), created if it does not exist
  --disk-size SIZE       the size of a new data disk (256M)
  --keys FILE            the key disk (keys.img in --root), created if it does not exist
  --forward PORT:GUEST   a port of 127.0.0.1 and the tenant's port; repeatable (8080 for the first tenant, 8081, …)
  --config NAME          release or debug
  --compiler NAME        gcc or clang
  --memory SIZE          the machine's memory (2G)`

const FIRST_PORT = 8080
const KEY_DISK_BYTES = 1024 * 1024
/** @type {Record<string, number>} */
const UNITS = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

class UsageError extends Error {}

/** @param {string} text such as 256M @returns {number} bytes, a multiple of a sector */
function bytesOf(text) {
  const [, number, unit = ''] = /^(\d{1,9})([KMG]?)$/.exec(text) ?? []
  const bytes = Number(number) * (UNITS[unit] ?? 1)
  if (!(bytes >= 65536) || bytes % 512 !== 0) {
    throw new UsageError(`--disk-size ${text}: expected a multiple of 512, at least 64K, such as 256M`)
  }
  return bytes
}

/** @param {string} pair */
function forwardOf(pair) {
  const [, host, guest] = (/^(\d{1,5}):(\d{1,5})$/.exec(pair) ?? []).map(Number)
  if (!host || !guest || host > 65535 || guest > 65535) {
    throw new UsageError(`--forward ${pair}: expected PORT:GUEST, two ports`)
  }
  return { host, guest }
}

/** Creates a disk of zeros that only its owner can access, unless the file exists. @param {string} file @param {number} bytes */
export function makeDisk(file, bytes) {
  if (existsSync(file)) return
  mkdirSync(dirname(resolve(file)), { recursive: true, mode: 0o700 })
  const made = openSync(file, 'wx', 0o600)
  try {
    ftruncateSync(made, bytes)
  } catch (error) {
    rmSync(file)
    throw error
  } finally {
    closeSync(made)
  }
}

/** Checks that no program listens on a port. @param {{ host: number }} port @returns {Promise<void>} */
const checkPort = ({ host }) =>
  new Promise((done, fail) => {
    const server = createServer()
    server.once('error', (error) =>
      fail(new Error(`127.0.0.1:${host}: ${error.message}; choose another port with --forward`)),
    )
    server.listen(host, '127.0.0.1', () => server.close(() => done()))
  })

/**
 * @typedef {{ totebox: string, tenants: import('../microkit/generate.mjs').Tenant[], disk: string, size: number, keys: string,
 *   forward: { host: number, guest: number }[], config: string, compiler: string, memory: string }} Options
 * @param {string[]} args
 * @returns {Options | undefined} undefined for --help
 */
export function readOptions(args) {
  const text = /** @type {const} */ ({ type: 'string' })
  let values
  try {
    values = parseArgs({
      args,
      options: {
        help: { type: 'boolean' },
        totebox: text,
        root: text,
        disk: text,
        'disk-size': text,
        keys: text,
        forward: { type: 'string', multiple: true },
        config: text,
        compiler: text,
        memory: text,
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  if (values.help === true) return undefined
  const project = join(import.meta.dirname, '..')
  const root = values.root ?? join(project, 'data', 'appliance')
  const totebox = values.totebox ?? join(project, 'microkit', 'totebox.json')
  const list = JSON.parse(readFileSync(totebox, 'utf8'))
  check(list)
  /** @type {import('../microkit/generate.mjs').Tenant[]} */
  const tenants = list.tenants
  const ports = tenants.flatMap(({ port }) => (port === undefined ? [] : [port]))
  return {
    totebox,
    tenants,
    disk: values.disk ?? join(root, 'data.img'),
    size: bytesOf(values['disk-size'] ?? '256M'),
    keys: values.keys ?? join(root, 'keys.img'),
    forward:
      values.forward?.map(forwardOf) ?? ports.map((guest, index) => ({ host: FIRST_PORT + index, guest })),
    config: values.config ?? 'release',
    compiler: values.compiler ?? 'gcc',
    memory: values.memory ?? '2G',
  }
}

/** Prints each tenant's URL, once it answers. @param {Appliance} appliance @param {Options} options */
async function greet(appliance, { tenants, forward }) {
  for (const { moduleId, port } of tenants) {
    const host = forward.find(({ guest }) => guest === port)?.host
    if (host === undefined) continue
    await appliance.until(new RegExp(`\\[ledger_${moduleId}\\] ready`), 120_000)
    await appliance.until(new RegExp(`\\[net\\] ${moduleId} has port`), 120_000)
    console.log(`${moduleId}: http://127.0.0.1:${host}/t/${moduleId}/`)
  }
  console.log('Press Ctrl-C to stop.')
}

/** @param {Options} options @returns {Promise<number>} exit status */
async function run(options) {
  const { totebox, disk, size, keys, forward, config, compiler, memory } = options
  const lacking = provide(compiler)
  if (lacking.length > 0) throw new Error(`missing: ${lacking.join('; ')}`)
  for (const port of forward) await checkPort(port)
  const { image } = build({ totebox, config, compiler })
  makeDisk(disk, size)
  makeDisk(keys, KEY_DISK_BYTES)
  let ended = false
  const appliance = new Appliance(
    { image, disk: { file: disk }, keys: { file: keys }, forward, memory },
    { echo: true },
  )
  const end = () => {
    ended = true
    void appliance.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end)
  greet(appliance, options).catch((/** @type {Error} */ error) => {
    if (!ended) console.error(`appliance: ${error.message.split('; the console:')[0]}`)
  })
  const status = await appliance.exited
  return ended || status === 0 ? 0 : 1
}

/** @returns {Promise<number>} exit status */
async function main() {
  try {
    const found = readOptions(process.argv.slice(2))
    if (found !== undefined) return await run(found)
    console.log(HELP)
    return 0
  } catch (error) {
    console.error(`appliance: ${error instanceof Error ? error.message : String(error)}`)
    if (!(error instanceof UsageError)) return 1
    console.error(HELP)
    return 2
  }
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main()
