// Bulk imports: NDJSON batches over HTTP, NDJSON by the command line, and a directory of small files by the command line.

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../support/process.ts'
import type { Build } from '../builds.ts'
import { runMeasured, type CommandOptions } from '../command.ts'
import { type Contest, type Measurement, type Results, Unsupported } from '../contest.ts'
import { measure } from '../load.ts'
import { MODULE, type Server, startServiceFs, startTessera, waitForSize } from '../servers.ts'
import { bulk } from '../settings.ts'
import { watchUsage } from '../usage.ts'
import { type Context, SERVICE_FS, sidesOfBuilds, TESSERA } from './context.ts'

/** Time limit of an import, in seconds. */
const LIMIT = 1800
/** Files in a directory. */
const PER_DIRECTORY = 1000

export function bulkLoads(context: Context): Contest[] {
  return [overHttp(context), byCommand(context), ofFiles(context)]
}

/** The import counts until a checkpoint covers it. */
function overHttp(context: Context): Contest {
  const { options, dir: work } = context
  const under = async (
    start: () => Promise<Server>,
    how: { clients: number; batch: number },
  ): Promise<Results> => {
    const server = await start()
    try {
      return { bulk: await measure(server, { mode: 'batch', ...how, seconds: LIMIT, total: options.bulk }) }
    } finally {
      await server.dispose()
    }
  }
  const sides = sidesOfBuilds(context, SERVICE_FS, (build) =>
    under(() => startServiceFs(build, { work }), bulk.serviceFs),
  )
  if (options.sides.tessera)
    sides.push({
      name: TESSERA,
      run: () => under(() => startTessera('integrated', bulk.tessera.settings, { work }), bulk.tessera),
    })
  return { loads: ['bulk'], sides }
}

/** `service-fs append` of NDJSON from standard input. A revision whose `append` takes no NDJSON skips this load. */
function byCommand(context: Context): Contest {
  const { options, dir } = context
  let input: Promise<string> | undefined
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const flag = await ndjsonFlag(build)
    const file = await (input ??= writeNdjson(join(dir, 'records.ndjson'), options.bulk))
    const handle = await open(file)
    try {
      const args = [...flag, '-']
      return { 'bulk-cli': await appended(context, build, args, options.bulk, { stdin: handle.fd }) }
    } finally {
      await handle.close()
    }
  })
  return { loads: ['bulk-cli'], sides }
}

/** Returns the options that make `append -` read NDJSON. */
async function ndjsonFlag({ command }: Build): Promise<string[]> {
  const { stdout } = await run(process.execPath, [command, 'append', '--help'])
  if (/--ndjson\b/.test(stdout)) return ['--ndjson']
  if (/ndjson/i.test(stdout)) return []
  throw new Unsupported('`service-fs append` of this revision takes no NDJSON')
}

async function writeNdjson(file: string, total: number): Promise<string> {
  const out = createWriteStream(file)
  for (let n = 1; n <= total; n++) {
    const payload = { account: 'DE02-1203-0000-0000-2020-51', amount: n, memo: 'x'.repeat(130) }
    if (!out.write(`${JSON.stringify({ payload_id: `r${n}`, payload })}\n`)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
  return file
}

/** `service-fs append` of a directory of files of 200 bytes. */
function ofFiles(context: Context): Contest {
  const { options, dir } = context
  let made: Promise<string> | undefined
  const sides = sidesOfBuilds(context, SERVICE_FS, async (build) => {
    const root = await (made ??= writeFiles(join(dir, 'files'), options.files))
    return { files: await appended(context, build, [root], options.files) }
  })
  return { loads: ['files'], sides }
}

async function writeFiles(root: string, total: number): Promise<string> {
  for (let first = 0; first < total; first += PER_DIRECTORY) {
    const dir = join(root, String(first / PER_DIRECTORY))
    await mkdir(dir, { recursive: true })
    const numbers = Array.from({ length: Math.min(PER_DIRECTORY, total - first) }, (_, i) => first + i)
    await Promise.all(numbers.map((n) => writeFile(join(dir, `${n}.txt`), `${String(n).padEnd(199, '.')}\n`)))
  }
  return root
}

/** Runs `append` with these arguments against a new server. The usage is the server's and the command's together. */
async function appended(
  { dir: work }: Context,
  build: Build,
  args: readonly string[],
  total: number,
  options: CommandOptions = {},
): Promise<Measurement> {
  const server = await startServiceFs(build, { work })
  try {
    const watch = watchUsage(server.pid)
    const env = { FS_MODULE_ID: MODULE }
    const ran = await runMeasured(
      process.execPath,
      [build.command, 'append', ...args, '--url', server.url.replace(/\/$/, ''), '--json'],
      { ...options, env },
    )
    await waitForSize(server, total)
    const { rss, cpu } = watch.stop()
    const usage = { rss: Math.max(rss, ran.usage.rss), cpu: cpu + ran.usage.cpu }
    return { value: total / ran.seconds, unit: '/s', seconds: ran.seconds, count: total, usage }
  } finally {
    await server.dispose()
  }
}
