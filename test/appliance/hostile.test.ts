// Hostile tenants: programs in a ledger's place that do everything a protection domain can, and a script in the
// engine that does everything a script can. Meanwhile a client appends to another tenant's ledger and reads it.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../microkit/generate.mjs'
import type { Appliance } from '../../qemu/run.mjs'
import { serviceFs } from '../support/daemon.ts'
import { freePort } from '../support/process.ts'
import { Bench, image, needs, runs } from './machine.ts'

const WAIT = 60_000
const MiB = 1024 * 1024
/** The number of records that the test appends to globex before the attacks: more than a bundle holds. */
const EARLY = 300
const list: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'hostile.json'), 'utf8'))
const thieves = ['thief-1', 'thief-2', 'thief-3', 'thief-4', 'thief-5']
/** The tenants' ports in the appliance, as in hostile.json. */
const guests = { globex: 80, acme: 81, initech: 82, 'thief-6': 96 }
const ports = new Map<string, number>()

/** The number of host functions that the script called, the number of calls, and the number of calls that threw. */
interface Border {
  functions: number
  calls: number
  threw: number
}

const guest = (tenant: string) => guests[tenant as 'acme'] ?? 90 + Number(tenant.at(-1))

/** The regions' addresses, and the domains that map them. */
const { description } = generate(list as Parameters<typeof generate>[0])
const mapped = (domain: string) =>
  (description.domains.get(domain)?.mappings ?? []).map(({ region }) => region)
const address = (region: string) => `0x${description.regions.get(region)?.address.toString(16)}`

/** The addresses that an attacker tries: regions of globex, devices (virtual and physical addresses), regions of the servers. */
function loot(): string[] {
  const theirs = mapped('ledger_globex').filter((region) => region !== 'time')
  const read = ['data_globex', 'heap_globex', 'keys_globex', 'ring_ledger_globex_to_psdb']
  const devices = ['uart', 'blk_device', 'keys_device', 'net_device', 'entropy_device']
  const servers = ['blk_queue', 'disk_data', 'psdb_store', 'keys_queue', 'net_heap', 'net_input']
  return [
    ...theirs.map((region) => `w${address(region)}`),
    ...read.map((region) => `r${address(region)}`),
    ...devices.map((region) => `w${address(region)}`),
    ...['0x9000000', '0xa000000', '0xa001000'].map((device) => `r${device}`),
    ...servers.map((region, index) => `${index % 2 === 0 ? 'r' : 'w'}${address(region)}`),
  ]
}

/** Asks a hostile tenant, and retries while it restarts after a fault. */
async function answerOf(tenant: string, line: string): Promise<string> {
  for (const until = Date.now() + WAIT; Date.now() < until; await sleep(500)) {
    const answer = await tell(tenant, line)
    if (answer !== '') return answer
  }
  throw new Error(`${tenant} ended each connection after the command ${line}`)
}

/** Sends a hostile tenant a command; returns its answer, or '' if the connection ended without one. */
function tell(tenant: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port: ports.get(tenant) ?? 0 })
    let text = ''
    socket.on('data', (bytes) => (text += bytes.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(text.trim()))
    socket.setTimeout(WAIT, () => {
      reject(new Error(`${tenant} gave no answer to the command ${line}`))
      socket.destroy()
    })
    socket.write(`${line}\n`)
  })
}

/** Has the script call each host function with wrong arguments, one function a command. */
async function border(): Promise<Border> {
  const found = { functions: 1, calls: 0, threw: 0 }
  for (let at = 0; at < found.functions; at++) {
    const answer = await tell('initech', `border ${at}`)
    const counts = /^functions (\d+) calls (\d+) threw (\d+)$/.exec(answer)?.slice(1).map(Number)
    if (counts === undefined) throw new Error(`border ${at}: unexpected answer ${JSON.stringify(answer)}`)
    const [functions = 0, calls = 0, threw = 0] = counts
    found.functions = functions
    found.calls += calls
    found.threw += threw
  }
  return found
}

const url = (path: string) => `http://127.0.0.1:${ports.get('globex')}/t/globex${path}`

function append(id: string): Promise<Response> {
  const body = JSON.stringify({ payload_id: id, payload: `payload of ${id}` })
  return fetch(url('/v1/append'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(20_000),
  })
}

const verify = (place: string[]) =>
  execFileSync('node', [serviceFs, 'verify', ...place], { encoding: 'utf8' })

/** Checks that globex is alive and answers that the disk is full. */
async function isFull(): Promise<void> {
  const answers = [await append('one-too-many'), await fetch(url('/v1/checkpoint'))]
  for (const answer of answers)
    expect([answer.status, await answer.json()]).toEqual([507, expect.objectContaining({ code: 'full' })])
  expect((await fetch(`http://127.0.0.1:${ports.get('globex')}/healthz`)).status).toBe(200)
}

/** Appends and reads continuously. */
class Client {
  readonly failures: string[] = []
  readonly ids: string[] = []
  #times: number[] = []
  #ends = false
  #running: Promise<void> | undefined

  start(): void {
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#ends; n++) {
      const began = performance.now()
      try {
        const appended = await append(`record-${n}`)
        const text = await appended.text()
        if (appended.status === 200) this.ids.push(`record-${n}`)
        else this.failures.push(`append ${n}: ${appended.status} ${text}`)
        this.#times.push(performance.now() - began)
        if (n % 8 === 0) {
          const read = await fetch(url('/v1/checkpoint'), { signal: AbortSignal.timeout(20_000) })
          const note = await read.text()
          if (read.status !== 200 || Number(note.split('\n')[1]) < this.ids.length)
            this.failures.push(`checkpoint after ${n}: ${read.status} ${note}`)
        }
      } catch (error) {
        this.failures.push(`append ${n}: ${String(error)}`)
      }
    }
  }

  /** Waits until another append completes. */
  async goesOn(): Promise<void> {
    for (const until = Date.now() + WAIT; this.#times.length === 0 && Date.now() < until;) await sleep(10)
  }

  /** Prints the times of the appends since the last call, and checks that there were some and that no request has failed. */
  look(what: string): void {
    const times = this.#times.sort((a, b) => a - b)
    this.#times = []
    const at = (part: number) => times[Math.floor(times.length * part)]?.toFixed(0)
    console.log(`${what}: ${times.length} appends, ms: p50 ${at(0.5)}, p99 ${at(0.99)}`)
    expect(times.length).toBeGreaterThan(0)
    expect(this.failures).toEqual([])
  }

  async stop(): Promise<void> {
    this.#ends = true
    await this.#running
  }
}

/** The files below a folder, with their bytes. */
function contents(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      return [path.slice(folder.length), readFileSync(path)]
    }),
  )
}

describe.skipIf(!runs)(`hostile tenants ${needs}`, () => {
  const bench = new Bench()
  const client = new Client()
  const disk = bench.disk(112 * MiB)
  const keys = bench.disk(MiB)
  let built: string
  let appliance: Appliance
  let scripts: Promise<Border>
  /** The bundles that globex sealed before the attacks. */
  let before: Map<string, Buffer>

  async function boot(): Promise<void> {
    for (const tenant of Object.keys(guests).concat(thieves)) ports.set(tenant, await freePort())
    const forward = [...ports].map(([tenant, host]) => ({ host, guest: guest(tenant) }))
    appliance = bench.boot({ image: built, disk: { file: disk }, keys: { file: keys }, forward })
    await appliance.until(/\[net\] globex has port 80\n/, WAIT)
    await appliance.until(/\[net\] initech has port 82\n/, WAIT)
  }

  /** Globex's files on the disk. */
  function extract(name: string): string {
    const folder = join(bench.folder, name)
    mkdirSync(folder)
    copyFileSync(disk, join(folder, 'disk.tar'))
    execFileSync('tar', ['-xf', join(folder, 'disk.tar'), '-C', folder, 'globex'])
    return join(folder, 'globex')
  }

  /** Waits until the console has shown the text at least the given number of times. */
  async function times(line: string, count: number): Promise<void> {
    for (let n = 0; n < WAIT && appliance.console.split(line).length <= count; n += 50) await sleep(50)
    expect([line, appliance.console.split(line).length > count]).toEqual([line, true])
  }

  /** Has the script make its attacks, in order. Each attack ends the engine, except those at the border. */
  async function script(): Promise<Border> {
    const found = await border()
    const lives = ['throw', 'recurse', 'heap', 'loop', 'jobs', 'pattern']
    for (const [life, line] of lives.entries()) {
      await tell('initech', line)
      await times('[supervisor] ledger_initech is started again\n', life + 1)
      await times('[ledger_initech] ready after', life + 2)
    }
    return found
  }

  beforeAll(async () => {
    built = image('hostile')
    await boot()
    for (let n = 0; n < EARLY; n++) expect((await append(`early-${n}`)).status).toBe(200)
    before = contents(extract('before'))
    client.start()
    await sleep(3000)
    client.look('before')
    scripts = script()
    scripts.catch(() => {})
  }, 10 * WAIT)
  afterAll(async () => {
    await client.stop()
    await bench.end()
  })

  it('reach no foreign memory and no device, and are restarted with growing delays', async () => {
    tell('thief-6', 'steal').catch(() => {})
    await appliance.until(/\[ledger_thief-6\] steal\n/, WAIT)
    const steps = loot()
    const each = Math.ceil(steps.length / thieves.length)
    const plans = thieves.map((_, index) => steps.slice(index * each, (index + 1) * each))
    for (const [index, thief] of thieves.entries()) void tell(thief, `plan ${plans[index]?.join(' ')}`)
    const own = [
      `w${address('time')}`,
      `w${address('ring_psdb_to_ledger_acme')}`,
      'f0x123456789',
      'j0x0',
      's',
      'u',
    ]
    void tell('acme', `plan ${own.join(' ')}`)
    for (const [index, thief] of thieves.entries()) {
      for (const step of plans[index] ?? [])
        await appliance.until(
          new RegExp(`\\[supervisor\\] ledger_${thief} faulted: no such access to ${step.slice(1)}, pc 0x`),
          WAIT,
        )
    }
    await appliance.until(
      /\[supervisor\] ledger_acme faulted: exception, pc .*is started again in 4 s\n/,
      WAIT,
    )
    const lines = appliance.console.split('\n')
    const faults = lines.filter((line) => line.startsWith('[supervisor] ledger_acme faulted: '))
    for (const [index, fault] of [
      new RegExp(`no such access to ${address('time')}, pc 0x[0-9a-f]+$`),
      new RegExp(`no such access to ${address('ring_psdb_to_ledger_acme')}, pc 0x[0-9a-f]+$`),
      /(?:no such access to 0x123456789, pc 0x0|exception, pc 0x[0-9a-f]+)$/,
      /no instruction at 0x0, pc 0x0; is started again in 1 s$/,
      /no such access to 0x[0-9a-f]+, pc 0x[0-9a-f]+; is started again in 2 s$/,
      /exception, pc 0x[0-9a-f]+; is started again in 4 s$/,
    ].entries()) {
      expect(faults[index]).toMatch(fault)
    }
    expect(faults).toHaveLength(own.length)
    for (const thief of thieves) {
      expect(lines.filter((line) => line.startsWith(`[supervisor] ledger_${thief} faulted`))).toHaveLength(
        plans[thieves.indexOf(thief)]?.length ?? -1,
      )
    }
    expect(appliance.console).not.toMatch(/has read|has done what|came back from|stole a fault/)
    expect(appliance.console).not.toMatch(/ledger_globex faulted/)
    client.look('while thieves fault')
  })

  it('hold only the capabilities to their channels and their own address space', async () => {
    expect(await answerOf('acme', 'caps')).toBe('answer: 3 10 11 12 13 14 15')
  })

  it('get an answer to every message to PSDB, and rewrite nothing', async () => {
    const found = await tell('acme', 'psdb')
    const statuses = /^missing 0 strange 0 statuses (\S+) names 6,6,6,6,6,6 replayed 0,0,0,2$/.exec(
      found,
    )?.[1]
    const [ok = 0, none = 0, conflict = 0, full, io, , invalid = 0] = (statuses ?? '').split(',').map(Number)
    // CORRUPT: the tenant has damaged its own tail.
    expect([found, full, io]).toEqual([found, 0, 0])
    expect([ok > 50, none > 0, conflict > 0, invalid > 1000]).toEqual([true, true, true, true])
    expect(await tell('acme', 'rewrite')).toBe('sealed 0 other bytes 2 fewer 2 read 0 the same 1')
    expect(await tell('acme', 'torn')).toBe('opcode 130 changed 1 afterwards 0')
    expect(await tell('acme', 'rings')).toBe('psdb afterwards 0 keys afterwards 0')
    client.look('while messages are wrong')
  })

  it('get no signature on a fork, on a smaller tree, or for another tenant', async () => {
    expect(await tell('acme', 'keys')).toBe('statuses 0,2,2,0,3,3,3,3,3,3,3,3,3,3,3,3,3,3')
    const origin = '[keys] service-fs.local/ledger/acme: refused to sign'
    expect(appliance.console).toContain(`${origin} another root at size 5\n`)
    expect(appliance.console).toContain(`${origin} size 4: size 5 is already signed\n`)
    expect(appliance.console).toContain(`${origin} a text that is not its checkpoint\n`)
    expect(appliance.console).not.toMatch(/ledger\/globex(\/audit)?: refused/)
  })

  it('touch no connection of another tenant', async () => {
    const socket = createConnection({ host: '127.0.0.1', port: ports.get('globex') ?? 0 })
    let answers = ''
    let ended = false
    socket.on('data', (bytes) => (answers += bytes.toString('latin1')))
    socket.on('close', () => (ended = true))
    const ask = async () => {
      const soFar = answers.length
      socket.write('GET /t/globex/v1/checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n')
      for (let n = 0; n < 500 && answers.length === soFar; n++) await sleep(20)
      expect(answers.slice(soFar)).toMatch(/^HTTP\/1.1 200 /)
    }
    await ask()
    expect(await tell('acme', 'net')).toBe('done')
    await ask()
    expect(ended).toBe(false)
    socket.destroy()
    client.look('while connections are attacked')
  })

  it('use all their CPU time, and the other tenant keeps working', async () => {
    for (const what of ['l', 'n', 's', 'k', 'w']) {
      await tell('acme', `flood ${what} 03`)
      client.look(`during flood ${what}`)
    }
  })

  it('are stopped by the engine when their script throws, never returns or takes all memory, and affect no other tenant', async () => {
    const { functions, calls, threw } = await scripts
    expect([functions, calls > 10_000, threw > 5000]).toEqual([19, true, true])
    const text = appliance.console
    const reasons = [
      /\[ledger_initech\] throw\n\[ledger_initech\] Error: thrown on purpose\n/,
      /\[ledger_initech\] recurse\n\[ledger_initech\] (?:RangeError|InternalError): .*stack/,
      /\[ledger_initech\] heap\n\[ledger_initech\] .*(?:memory|null)/,
      /\[ledger_initech\] loop\n\[ledger_initech\] .*(?:interrupted|too long)/,
      /\[ledger_initech\] jobs\n\[ledger_initech\] .*(?:interrupted|too long)/,
      /\[ledger_initech\] pattern\n\[ledger_initech\] .*(?:interrupted|too long)/,
    ]
    const said = text.split('\n').filter((line) => line.startsWith('[ledger_initech] '))
    for (const reason of reasons) expect(said.join('\n')).toMatch(reason)
    const faults = [...text.matchAll(/\[supervisor\] ledger_initech faulted: (.*)$/gm)].map(
      (match) => match[1],
    )
    expect(faults).toHaveLength(reasons.length)
    expect(faults.slice(3)).toEqual(
      [1, 2, 4].map((s) => expect.stringContaining(`is started again in ${s} s`)),
    )
    // The script may have stopped during the floods.
    await client.goesOn()
    client.look('while the script misbehaves')
  })

  it('have changed no data of the other tenant, as read over HTTP', async () => {
    await client.stop()
    expect(appliance.console).not.toMatch(/ledger_globex faulted/)
    const vkey = /\[keys\] vkey (service-fs\.local\/ledger\/globex\+\S+)/.exec(appliance.console)?.[1] ?? ''
    verify(['--vkey', vkey, '--url', `http://127.0.0.1:${ports.get('globex')}/`, '--module-id', 'globex'])
    const record = await fetch(url(`/v1/records/${client.ids.at(-1)}`))
    expect([record.status, await record.text()]).toEqual([200, expect.stringContaining('payload of record-')])
  })

  // The ledger also refuses reads, because it must record them before it answers.
  it('fill the disk, and the other tenant reports that', async () => {
    expect(await tell('acme', 'fill')).toBe('ended by 3,3,3,3,3,3 sealed more than three 1')
    await isFull()
  })

  it('have changed no data of the other tenant on the disk, after a power cut', async () => {
    await appliance.kill()
    const folder = extract('after')
    expect(verify([folder])).toContain(`${EARLY + client.ids.length} records`)
    const after = contents(folder)
    const sealed = [...before.keys()].filter((path) => !/^(\/audit)?\/(checkpoint|tail\/)/.test(path))
    expect(sealed.length).toBeGreaterThan(5)
    for (const path of sealed)
      expect(after.get(path)?.equals(before.get(path) ?? Buffer.of()), path).toBe(true)
    await boot()
    await isFull()
  })
})
