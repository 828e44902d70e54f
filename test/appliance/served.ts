// The ledger of the appliance that microkit/totebox.json describes, over HTTP.
import { Agent, request } from 'node:http'
import { build } from '../../microkit/build.mjs'
import type { Appliance, Disk } from '../../qemu/run.mjs'
import { freePort } from '../support/process.ts'
import type { Bench } from './machine.ts'

export const MODULE_ID = 'acme'
const GUEST_PORT = 80
const READY_MS = 300_000

export interface Served {
  appliance: Appliance
  port: number
  /** `http://127.0.0.1:PORT/t/acme/` */
  url: string
  /** Milliseconds from QEMU's start until the ledger accepted connections. */
  ready: number
}

export async function serve(
  bench: Bench,
  disks: { disk: Disk; keys: Disk },
  options?: Parameters<typeof build>[0],
): Promise<Served> {
  const port = await freePort()
  const { image } = build(options)
  const began = performance.now()
  const appliance = bench.boot({ image, ...disks, forward: [{ host: port, guest: GUEST_PORT }] })
  await appliance.until(new RegExp(`\\[net\\] ${MODULE_ID} has port ${GUEST_PORT}\\n`), READY_MS)
  const ready = performance.now() - began
  return { appliance, port, url: `http://127.0.0.1:${port}/t/${MODULE_ID}/`, ready }
}

/** The vkeys of the ledger and of its audit ledger, from the console. */
export function shownVkeys({ console }: Appliance): string[] {
  return [...console.matchAll(/^\[keys\] vkey (\S+)$/gm)].map((match) => match[1] ?? '')
}

/** One persistent connection. A request rejects when the connection ends before its answer. */
export class Connection {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #port: number

  constructor({ port }: Served) {
    this.#port = port
  }

  /** Returns the body of the answer, which must be 200. `records`: the records to post as NDJSON; none: GET. */
  ask(path: string, records?: readonly object[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({
        agent: this.#agent,
        host: '127.0.0.1',
        port: this.#port,
        path: `/t/${MODULE_ID}/${path}`,
        timeout: 300_000,
        ...(records && { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } }),
      })
      asked.on('timeout', () => asked.destroy(new Error(`${path}: no answer within 300 s`)))
      asked.on('error', reject)
      asked.on('response', (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          if (answer.statusCode === 200) resolve(text)
          else reject(new Error(`${path}: ${answer.statusCode} ${text}`))
        })
      })
      asked.end(records?.map((record) => JSON.stringify(record)).join('\n'))
    })
  }

  async json<T>(path: string, records?: readonly object[]): Promise<T> {
    return JSON.parse(await this.ask(path, records)) as T
  }

  close(): void {
    this.#agent.destroy()
  }
}
