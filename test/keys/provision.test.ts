// Tests `service-fs provision`: the appliance's own code opens the disks, and this project's verifier accepts its signatures.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatCheckpointText, openCheckpoint } from '@service-fs/tlog/checkpoint'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import { buildProgram } from '@service-fs/cli/program'
import { Exit, testIo } from '@service-fs/cli/testing'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { compilers, make, why } from './c.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'service-fs-keys-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

async function provision(
  ...args: string[]
): Promise<{ code: number | undefined; errors: string[]; output: string }> {
  const io = testIo()
  try {
    await buildProgram(io).parseAsync(['provision', ...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof Exit)) throw error
  }
  return { code: io.code, errors: io.errors, output: io.text() }
}

const origin = 'service-fs.local/ledger/acme'
const root = Buffer.alloc(32, 7).toString('base64')

/** The request for a signature on the checkpoint of this size. */
function sign(tenant: number, ledger: number, name: string, size: number): string {
  const text = formatCheckpointText({ origin: name, size, root, extensions: [] })
  return `sign ${tenant} ${ledger} ${Buffer.from(text).toString('hex')}`
}

/** A daemon's directory of secrets, with keys of these names. */
function secrets(main: string, audit: string, seed = 1, type = 1): string {
  const dir = at(`secret-${Math.random()}`)
  mkdirSync(dir, { mode: 0o700 })
  for (const [name, file] of [
    [main, 'ed25519.key'],
    [audit, 'audit-ed25519.key'],
  ] as const) {
    const key = formatSignerKey({ name, type, seed: new Uint8Array(32).fill(seed) })
    writeFileSync(join(dir, file), `${key}\n`, { mode: 0o600 })
  }
  return dir
}

describe('provision', () => {
  it('makes both disks for their owner only, and prints the verifier keys', async () => {
    const args = ['--module-id', 'acme', '--module-id', 'beta', '--origin', 'example.org/beta']
    const disks = ['--key-disk', at('k.img'), '--data-disk', at('d.img'), '--disk-size', '1M']
    const { code, output, errors } = await provision(...args, ...disks)
    expect([code, errors.length]).toEqual([0, 3])
    const names = output.trim().split('\n')
    expect(names.map((vkey) => verifierFromVkey(vkey).name)).toEqual(
      [origin, 'example.org/beta'].flatMap((name) => [name, `${name}/audit`]),
    )
    for (const name of ['k.img', 'd.img']) {
      expect(statSync(at(name)).mode & 0o777).toBe(0o600)
      expect(statSync(at(name)).size).toBe(1024 * 1024)
    }
    expect(readFileSync(at('d.img')).every((byte) => byte === 0)).toBe(true)
    expect(errors.at(-1)).toBe('in totebox.json: {"moduleId":"beta","origin":"example.org/beta"}')
  })

  it('prints JSON', async () => {
    const { output } = await provision('--module-id', 'acme', '--key-disk', at('k.img'), '--json')
    const [vkey, audit] = [expect.stringContaining(`${origin}+`), expect.stringContaining(`${origin}/audit+`)]
    expect(JSON.parse(output)).toEqual({
      key_disk: at('k.img'),
      tenants: [{ module_id: 'acme', origin, vkey, audit_vkey: audit }],
    })
  })

  it('makes an empty key disk', async () => {
    const { code, output } = await provision('--empty', '--module-id', 'acme', '--key-disk', at('k.img'))
    expect([code, output]).toEqual([0, ''])
    expect(readFileSync(at('k.img')).every((byte) => byte === 0)).toBe(true)
  })

  it('never overwrites a file, and leaves no file behind after an error', async () => {
    writeFileSync(at('d.img'), 'mine')
    const args = ['--module-id', 'acme', '--key-disk', at('k.img'), '--data-disk', at('d.img')]
    const { code, errors, output } = await provision(...args)
    expect([code, output]).toEqual([3, ''])
    expect(errors).toEqual([`service-fs: ${at('d.img')}: the file exists and is not overwritten`])
    expect(readFileSync(at('d.img'), 'utf8')).toBe('mine')
    expect(() => statSync(at('k.img'))).toThrow('ENOENT')
  })

  it.each([
    [[]],
    [['--module-id', 'acme']],
    [['--key-disk', 'k']],
    [['--key-disk', 'k', '--origin', 'x', '--module-id', 'acme']],
    [['--key-disk', 'k', '--module-id', 'acme', '--origin', 'x', '--origin', 'y']],
    [['--key-disk', 'k', '--module-id', 'Acme']],
    [['--key-disk', 'k', '--module-id', 'acme', '--module-id', 'acme']],
    [['--key-disk', 'k', '--module-id', 'acme', '--origin', 'a b']],
    [['--key-disk', 'k', '--module-id', 'acme', '--origin', 'x'.repeat(251)]],
    [['--key-disk', 'k', '--module-id', 'a', '--origin', 'x', '--module-id', 'b', '--origin', 'x/audit']],
    [['--key-disk', 'k', '--module-id', 'acme', '--disk-size', '1M']],
    [['--key-disk', 'k', '--module-id', 'acme', '--empty', '--origin', 'x']],
    [['--data-disk', 'd', '--disk-size', '1000']],
    [['--data-disk', 'd', '--module-id', 'acme']],
  ])('rejects the wrong usage %j', async (args) => {
    const { code, errors } = await provision(...args)
    expect(code).toBe(2)
    expect(errors).toHaveLength(1)
  })

  it.each([
    ['no keys', () => at('nowhere')],
    [
      'keys that others may read',
      () => {
        const dir = secrets(origin, `${origin}/audit`)
        chmodSync(join(dir, 'audit-ed25519.key'), 0o640)
        return dir
      },
    ],
    ['keys of two ledgers', () => secrets(origin, 'example.org/other/audit')],
    ['keys of another kind', () => secrets(origin, `${origin}/audit`, 1, 6)],
    [
      'something else',
      () => {
        const dir = secrets(origin, `${origin}/audit`)
        writeFileSync(join(dir, 'ed25519.key'), 'PRIVATE+KEY+secret')
        return dir
      },
    ],
  ])('takes no keys from a directory with %s', async (_, dir) => {
    const args = ['--module-id', 'acme', '--from-secret', dir(), '--key-disk', at('k.img')]
    const { code, errors } = await provision(...args)
    expect(code).toBe(3)
    expect(errors.join()).not.toContain('PRIVATE')
    expect(() => statSync(at('k.img'))).toThrow('ENOENT')
  })
})

describe.skipIf(why !== '')(`the disks of provision in the appliance's code${why}`, () => {
  let host = ''
  beforeAll(async () => {
    host = join(await make(compilers[0] ?? ''), 'keys-host')
  })

  /** The store's output, and its answers to the requests. */
  async function ask(disk: string, origins: string[], requests: string[]): Promise<[string[], string[]]> {
    const child = spawn(host, [disk, ...origins], { stdio: ['pipe', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (bytes) => (text += String(bytes)))
    child.stdin.end(requests.map((line) => `${line}\n`).join(''))
    expect((await once(child, 'close'))[0]).toBe(0)
    const lines = text.trimEnd().split('\n')
    const answers = lines.filter((line) => !line.startsWith('# '))
    const decoded = answers.map((line) => line.slice(0, 2) + Buffer.from(line.slice(2), 'hex').toString())
    return [lines.filter((line) => line.startsWith('# ')), decoded]
  }

  it('sign checkpoints that this project verifies, and refuse all others', async () => {
    const origins = [origin, 'example.org/ünï']
    const args = ['--module-id', 'acme', '--module-id', 'beta', '--origin', 'example.org/ünï']
    const { output } = await provision(...args, '--key-disk', at('k.img'))
    const vkeys = output.trim().split('\n')
    const requests = ['vkey 0 0', 'vkey 0 1', 'vkey 1 0', 'vkey 1 1']
    const names = origins.flatMap((name) => [name, `${name}/audit`])
    for (const [index, name] of names.entries()) requests.push(sign(index >> 1, index & 1, name, 5))
    const [said, answers] = await ask(at('k.img'), origins, requests)
    expect(answers.slice(0, 4)).toEqual(vkeys.map((vkey) => `0 ${vkey}`))
    expect(said).toEqual([...vkeys.map((vkey) => `# vkey ${vkey}`), '# ready'])
    for (const [index, name] of names.entries()) {
      const text = formatCheckpointText({ origin: name, size: 5, root, extensions: [] })
      const note = `${text}\n${answers[4 + index]?.slice(2)}`
      expect(openCheckpoint(note, [verifierFromVkey(vkeys[index] ?? '')], name).checkpoint.size).toBe(5)
    }
    // After a restart.
    const later = [sign(0, 0, origin, 5), sign(0, 0, origin, 4), sign(0, 0, origin, 6), sign(0, 1, origin, 6)]
    const [, refused] = await ask(at('k.img'), origins, later)
    expect(refused.map((answer) => answer[0])).toEqual(['0', '2', '0', '3'])
    expect(refused[0]).toBe(answers[4])
  })

  it('continue with the keys of a daemon', async () => {
    const name = 'example.org/moving'
    const dir = secrets(name, `${name}/audit`, 9)
    const args = ['--module-id', 'acme', '--from-secret', dir, '--key-disk', at('k.img')]
    const { output, errors } = await provision(...args)
    const signer = signerFromKey(readFileSync(join(dir, 'ed25519.key'), 'utf8').trim())
    expect(output.split('\n')[0]).toBe(signer.vkey)
    expect(errors.at(-1)).toContain('in two places')
    const text = formatCheckpointText({ origin: name, size: 5, root, extensions: [] })
    const [, answers] = await ask(at('k.img'), [name], ['vkey 0 0', sign(0, 0, name, 5)])
    expect(answers).toEqual([`0 ${signer.vkey}`, `0 ${await signer.sign(text)}`])
  })

  it('contain no keys when empty: the appliance makes them', async () => {
    await provision('--empty', '--key-disk', at('k.img'))
    const [said, [vkey]] = await ask(at('k.img'), [origin], ['vkey 0 0'])
    expect(said[0]).toBe(`# ${origin}: a key is made`)
    expect(said).toContain(`# vkey ${vkey?.slice(2)}`)
    expect((await ask(at('k.img'), [origin], ['vkey 0 0']))[1]).toEqual([vkey])
  })
})
