// Measures what Fastify in front of the wire costs: node test/bench/fastify/run.mjs [--rounds N] [--requests N] [--starts N] [--dir DIR].
// Both servers run in alternation. The unit is requests per processor second of the server process: other load on the machine affects it
// less than requests per second.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { Pool } from 'undici'

const here = import.meta.dirname
const app = join(here, '../../../app')
/** Below the command's node_modules, so that its dependencies are found. */
const out = join(app, 'node_modules/.cache/fastify-bench')
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '10000' },
    starts: { type: 'string', default: '5' },
    dir: { type: 'string', default: join(here, '../out/data') },
  },
})
const KINDS = /** @type {const} */ (['bare', 'framed'])
const CLIENTS = 32

const { dependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))
await build({
  entryPoints: KINDS.map((kind) => join(here, `${kind}.ts`)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  splitting: true,
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
  },
  // As in the command, its dependencies stay outside of the bundle, except Fastify.
  external: Object.keys(dependencies),
  logLevel: 'warning',
})
mkdirSync(options.dir, { recursive: true })

/** @typedef {{ pid: number, pool: Pool, stop: () => Promise<void> }} Started */

/**
 * @param {string} kind
 * @returns {Promise<Started>}
 */
async function start(kind) {
  const root = mkdtempSync(join(options.dir, 'fastify-'))
  const child = spawn(process.execPath, ['--heap-growing-percent=100', join(out, `${kind}.mjs`), root], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '8' },
  })
  const [url] = await once(createInterface({ input: child.stdout }), 'line')
  const pool = new Pool(new URL(url).origin, { connections: CLIENTS })
  const stop = async () => {
    await pool.destroy()
    child.kill()
    await once(child, 'exit')
    rmSync(root, { recursive: true, force: true })
  }
  return { pid: Number(child.pid), pool, stop }
}

/** Processor seconds, user and system, of a process. @param {number} pid */
function cpuOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** @typedef {import('undici').Dispatcher.RequestOptions} Request */

/** @type {Record<string, (i: number) => Request>} */
const LOADS = {
  append: (i) => ({
    path: '/t/bench/v1/append',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"payload_id":"order-${i}","payload":{"n":${i},"text":"some 100 bytes of a record's payload, as a service writes it"}}`,
  }),
  'read a record': (i) => ({ path: `/t/bench/v1/records/order-${i}`, method: 'GET' }),
  'read the checkpoint': () => ({ path: '/t/bench/checkpoint', method: 'GET' }),
}

/**
 * Sends requests from CLIENTS clients. Each client waits for an answer before it sends its next request.
 * @param {Pool} pool
 * @param {(i: number) => Request} request
 * @param {number} first
 * @param {number} count
 */
async function load(pool, request, first, count) {
  let next = first
  const client = async () => {
    while (next < first + count) {
      const { statusCode, body } = await pool.request(request(next++))
      await body.dump()
      if (statusCode !== 200) throw new Error(`HTTP ${statusCode}`)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

/** Returns the requests per processor second for each load. @param {string} kind */
async function measure(kind) {
  const { pid, pool, stop } = await start(kind)
  const count = Number(options.requests)
  /** @type {Record<string, number>} */
  const found = {}
  try {
    for (const [name, request] of Object.entries(LOADS)) {
      // V8 compiles code during the first requests, which are not measured, but append the records that are read later.
      const warm = Math.ceil(count / 4)
      await load(pool, request, 0, warm)
      const before = cpuOf(pid)
      await load(pool, request, name === 'append' ? warm : 0, count)
      found[name] = count / (cpuOf(pid) - before)
    }
    return found
  } finally {
    await stop()
  }
}

/** Returns the memory in MiB of a server that has answered one request. @param {string} kind */
async function memory(kind) {
  const { pid, pool, stop } = await start(kind)
  try {
    await load(pool, () => ({ path: '/healthz', method: 'GET' }), 0, 1)
    await sleep(1500)
    return { RSS: kib(pid, 'status', 'VmRSS') / 1024, PSS: kib(pid, 'smaps_rollup', 'Pss') / 1024 }
  } finally {
    await stop()
  }
}

/**
 * @param {number} pid
 * @param {string} file
 * @param {string} name
 */
function kib(pid, file, name) {
  return Number(
    new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1],
  )
}

/**
 * Measures both kinds in alternation; every other round begins with the other one.
 * @param {number} rounds
 * @param {(kind: string) => Promise<Record<string, number>>} one
 */
async function alternate(rounds, one) {
  /** @type {Record<string, Record<string, number>[]>} */
  const found = { bare: [], framed: [] }
  for (let round = 0; round < rounds; round++)
    for (const kind of round % 2 === 0 ? KINDS : KINDS.toReversed()) {
      const result = await one(kind)
      found[kind]?.push(result)
      const words = Object.entries(result).map(([name, value]) => `${name} ${value.toFixed(1)}`)
      process.stderr.write(
        `round ${round + 1}: ${kind}: ${words.join(', ')} (load ${loadavg()[0]?.toFixed(1)})\n`,
      )
    }
  return found
}

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** @param {number[]} values @param {number} digits */
const spread = (values, digits) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`

console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node.js ${process.version}; median (range)`)
const speeds = await alternate(Number(options.rounds), measure)
for (const name of Object.keys(LOADS)) {
  const of = (/** @type {string} */ kind) => (speeds[kind] ?? []).map((result) => result[name] ?? Number.NaN)
  const ratios = of('bare').map((bare, i) => 100 * (1 - (of('framed')[i] ?? Number.NaN) / bare))
  console.log(
    `${name}: ${spread(of('bare'), 0)} requests a CPU second bare, ${spread(of('framed'), 0)} by Fastify: ${spread(ratios, 1)} % fewer`,
  )
}
const sizes = await alternate(Number(options.starts), memory)
for (const name of ['RSS', 'PSS']) {
  const of = (/** @type {string} */ kind) => (sizes[kind] ?? []).map((result) => result[name] ?? Number.NaN)
  const more = of('framed').map((framed, i) => framed - (of('bare')[i] ?? Number.NaN))
  console.log(
    `${name}: ${spread(of('bare'), 1)} MiB bare, ${spread(of('framed'), 1)} by Fastify: ${spread(more, 1)} more`,
  )
}
