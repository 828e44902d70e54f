// Builds the appliance and boots it in QEMU, with a data disk, a key disk and a port of this machine for each tenant.
//   node qemu/appliance.mjs [--totebox FILE] [--root DIR] [--disk FILE] [--disk-size SIZE] [--keys FILE]
//     [--forward PORT:GUEST]… [--config release|debug] [--compiler gcc|clang] [--memory SIZE]
// Disks that are not there are made, empty. What the appliance prints is printed, until Ctrl-C. Exit status 0: it was
// ended; 1: it could not be built or booted, or QEMU failed; 2: wrong usage.
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
  --root DIR             where disks are (data/appliance)
  --disk FILE            the data disk (data.img in --root), made if it is not there
  --disk-size SIZE       of a data disk that is made (256M)
  --keys FILE            the key disk (keys.img in --root), made if it is not there
  --forward PORT:GUEST   a port of 127.0.0.1 and the tenant's; again for more (8080 for the first tenant, 8081, …)
  --config NAME          release or debug
  --compiler NAME        gcc or clang
  --memory SIZE          of the machine (2G)`

const FIRST_PORT = 8080
const KEY_DISK_BYTES = 1024 * 1024
/** @type {Record<string, number>} */
const UNITS = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

class UsageError extends Error {}

/** @param {string} text such as 256M @returns {number} bytes, a multiple of a sector's */
function bytesOf(text) {
  const [, number, unit = ''] = /^(\d{1,9})([KMG]?)$/.exec(text) ?? []
  const bytes = Number(number) * (UNITS[unit] ?? 1)
  if (!(bytes >= 65536) || bytes % 512 !== 0) {
    throw new UsageError(`--disk-size ${text}: a multiple of 512 is expected, 64K or more, such as 256M`)
  }
  return bytes
}

/** @param {string} pair */
function forwardOf(pair) {
  const [, host, guest] = (/^(\d{1,5}):(\d{1,5})$/.exec(pair) ?? []).map(Number)
  if (!host || !guest || host > 65535 || guest > 65535) {
    throw new UsageError(`--forward ${pair}: PORT:GUEST is expected, two ports`)
  }
  return { host, guest }
}

/** A disk of zeros, for its owner alone, if there is none. @param {string} file @param {number} bytes */
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

/** @param {{ host: number }} port @returns {Promise<void>} an error if something listens there */
const checkPort = ({ host }) =>
  new Promise((done, fail) => {
    const server = createServer()
    server.once('error', (error) =>
      fail(new Error(`127.0.0.1:${host}: ${error.message}; --forward has others`)),
    )
    server.listen(host, '127.0.0.1', () => server.close(() => done()))
  })

/**
 * @typedef {{ totebox: string, tenants: import('../microkit/generate.mjs').Tenant[], disk: string, size: number, keys: string,
 *   forward: { host: number, guest: number }[], config: string, compiler: string, memory: string }} Options
 * @param {string[]} args
 * @returns {Options | undefined} undefined: help was asked for
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

/** Says where each tenant is, when it answers. @param {Appliance} appliance @param {Options} options */
async function greet(appliance, { tenants, forward }) {
  for (const { moduleId, port } of tenants) {
    const host = forward.find(({ guest }) => guest === port)?.host
    if (host === undefined) continue
    await appliance.until(new RegExp(`\\[ledger_${moduleId}\\] ready`), 120_000)
    await appliance.until(new RegExp(`\\[net\\] ${moduleId} has port`), 120_000)
    console.log(`${moduleId}: http://127.0.0.1:${host}/t/${moduleId}/`)
  }
  console.log('Ctrl-C ends it.')
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
