// Measures the time from sending an append to receiving the record, by /v1/follow and by polling /v1/entries.

import { Agent, get, request, type ClientRequest, type IncomingMessage } from 'node:http'
import { sleep } from '../../support/process.ts'
import type { Build } from '../builds.ts'
import type { Contest, Measurement } from '../contest.ts'
import { type Server, startServiceFs } from '../servers.ts'
import { percentile } from '../statistics.ts'
import { watchUsage } from '../usage.ts'
import { type Context, SERVICE_FS, sidesOfBuilds } from './context.ts'

/** Sequential appends per second: few enough for a hundred followers to keep up. */
const APPENDS_PER_SECOND = 20
const WARMUP = 10
const HEADERS = { 'x-foundry-module-id': 'bench' }

/** 1 and 100 followers, compared with as many pollers that poll continuously or every 100 ms. */
export function followLoads(context: Context): Contest[] {
  const { short } = context.options
  return (short ? [100] : [1, 100]).map((count) => {
    const load = `follow-${count}`
    const of = (name: string, start: Start): Contest['sides'] =>
      sidesOfBuilds(context, name, async (build) => ({
        [load]: await measureFollow(context, build, count, start),
      }))
    const pollers = short
      ? []
      : [
          ...of('polling', (server, seen) => poll(server, seen, 0)),
          ...of('polling, 100 ms', (server, seen) => poll(server, seen, 100)),
        ]
    return { loads: [load], sides: [...of(SERVICE_FS, follow), ...pollers] }
  })
}

/** Starts a follower that passes each cursor to `seen`. Resolves once it follows, with the function that ends it. */
type Start = (server: Server, seen: (cursor: number) => void) => Promise<() => void>

async function measureFollow(
  { options, dir: work }: Context,
  build: Build,
  count: number,
  start: Start,
): Promise<Measurement> {
  const server = await startServiceFs(build, { work })
  const ends: (() => void)[] = []
  try {
    const sent: number[] = []
    const latencies: number[] = []
    const newest = Array.from({ length: count }, () => 0)
    const take = (follower: number, cursor: number): void => {
      if (cursor !== (newest[follower] ?? 0) + 1)
        throw new Error(
          `follower ${follower}: expected the record ${(newest[follower] ?? 0) + 1}, found ${cursor}`,
        )
      newest[follower] = cursor
      if (cursor > WARMUP) latencies.push(performance.now() - (sent[cursor] ?? Number.NaN))
    }
    for (let i = 0; i < count; i++) ends.push(await start(server, (cursor) => take(i, cursor)))
    const watch = watchUsage(server.pid, 60_000)
    const begin = performance.now()
    await appendSteadily(server, sent, options.seconds)
    await allHave(newest, sent.length - 1)
    const seconds = (performance.now() - begin) / 1000
    const p50 = percentile(latencies, 50)
    const p99 = percentile(latencies, 99)
    const usage = watch.stop()
    return { value: p50, unit: 'ms', p50, p99, seconds, count: latencies.length, usage }
  } finally {
    for (const end of ends) end()
    await server.dispose()
  }
}

/** Appends at the rate; `sent` gets the time of each by its cursor. */
async function appendSteadily(server: Server, sent: number[], seconds: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const total = WARMUP + Math.round(seconds * APPENDS_PER_SECOND)
  const begin = performance.now()
  for (let cursor = 1; cursor <= total; cursor++) {
    await sleep(Math.max(0, begin + (cursor * 1000) / APPENDS_PER_SECOND - performance.now()))
    sent[cursor] = performance.now()
    const body = JSON.stringify({ payload_id: `r${cursor}`, payload: { n: cursor, text: 'x'.repeat(200) } })
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { ...HEADERS, 'content-type': 'application/json' }
      const asked = request(`${server.url}v1/append`, { method: 'POST', agent, headers }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
      })
      asked.once('error', reject).end(body)
    })
    if (status !== 200) throw new Error(`append ${cursor}: ${status}`)
  }
  agent.destroy()
}

async function allHave(newest: readonly number[], cursor: number): Promise<void> {
  const deadline = performance.now() + 30_000
  while (newest.some((seen) => seen < cursor)) {
    if (performance.now() > deadline)
      throw new Error(`expected record ${cursor} at every follower, the slowest has ${Math.min(...newest)}`)
    await sleep(5)
  }
}

const follow: Start = (server, seen) =>
  new Promise((resolve, reject) => {
    let isOver = false
    const asked: ClientRequest = get(
      `${server.url}v1/follow`,
      { headers: HEADERS, agent: false },
      (answer) => {
        let rest = ''
        answer.setEncoding('utf8')
        answer.on('data', (text: string) => {
          const events = (rest + text).split('\n\n')
          rest = events.pop() ?? ''
          for (const event of events) {
            const id = /^id: (\d+)$/m.exec(event)?.[1]
            if (id !== undefined) seen(Number(id))
          }
          resolve(end)
        })
        answer.on('error', (error) => isOver || reject(error))
      },
    )
    const end = (): void => {
      isOver = true
      asked.destroy()
    }
    asked.on('error', (error) => isOver || reject(error))
  })

/** Polls for new records. */
async function poll(server: Server, seen: (cursor: number) => void, pause: number): Promise<() => void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const over = new AbortController()
  let since = 0
  const ask = async (): Promise<void> => {
    const text = await new Promise<string>((resolve, reject) => {
      const take = (answer: IncomingMessage): void => {
        let body = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => (body += part))
        answer.once('end', () => resolve(body))
      }
      get(`${server.url}v1/entries?since=${since}`, { headers: HEADERS, agent }, take).once('error', reject)
    })
    const { entries, next_cursor: next } = JSON.parse(text) as {
      entries: { cursor: number }[]
      next_cursor: number
    }
    for (const { cursor } of entries) seen(cursor)
    since = next
  }
  await ask()
  const loop = async (): Promise<void> => {
    // Spread the pollers over the interval.
    await sleep(Math.random() * pause)
    while (!over.signal.aborted) {
      await ask().catch((error: unknown) => {
        if (!over.signal.aborted) throw error
      })
      if (pause > 0) await sleep(pause)
    }
  }
  void loop()
  return () => {
    over.abort()
    agent.destroy()
  }
}
