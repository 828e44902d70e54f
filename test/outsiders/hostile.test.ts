// verify.sh on ledgers that an attacker made, and on failing systems. The script must never report `true` for a forged or damaged ledger.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { proofOf, TEST_ORIGIN } from '@service-fs/client/testing'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { entriesOf } from '@service-fs/format/entry'
import { readmeText } from '@service-fs/format/readme'
import { SHELL_MARK } from '@service-fs/format/readme-shell'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { sha256Hex } from '@service-fs/native/native'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeBoth, mixedRecords } from './ledgers.ts'
import { which } from './root-fs.ts'
import { runVerifier } from './verifier.ts'

const TOOLS =
  'awk base64 cat chmod cp cut fold head mkdir mkfifo mktemp mv od printf pwd rm sed sh sha256sum sort tail tee tr wc openssl'.split(
    ' ',
  )
/** A script that read an endless file to its end would never finish. */
const PATIENCE = 60_000

let work = ''
let ledger = ''
let tailed = ''

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-hostile-'))
  ledger = join(work, 'ledger')
  tailed = join(work, 'tailed')
  for (const dir of [ledger, tailed]) mkdirSync(dir)
  await makeBoth(ledger, { records: mixedRecords(30), tail: 'export' })
  await makeBoth(tailed, { records: mixedRecords(30), tail: 'each', commit: 10 })
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** A directory with the tools: those of the system, or those of busybox. */
function toolsOf(kind: string, without = ''): string {
  const bin = mkdtempSync(join(work, `bin-${kind}-`))
  for (const name of TOOLS) {
    if (name === without) continue
    const path = kind === 'busybox' && name !== 'openssl' ? which('busybox') : which(name)
    if (path !== undefined) symlinkSync(path, join(bin, name))
  }
  return bin
}

/** A copy of a ledger, to be changed. */
function copyOf(from: string): string {
  const dir = mkdtempSync(join(work, 'copy-'))
  cpSync(from, dir, { recursive: true })
  return dir
}

function write(dir: string, path: string, content: string | Buffer): void {
  rmSync(join(dir, path), { force: true })
  writeFileSync(join(dir, path), content)
}

const vkeyOf = (key: Buffer): string => {
  const data = Buffer.concat([Buffer.of(1), key])
  const id = createHash('sha256').update(`${TEST_ORIGIN}\n`).update(data).digest('hex').slice(0, 8)
  return `${TEST_ORIGIN}+${id}+${data.toString('base64')}`
}

const P = 2n ** 255n - 19n
const Y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n

/** All encodings of points of low order, and all encodings that are not canonical, with both signs of x. */
function weakKeys(): Buffer[] {
  const ys = [0n, 1n, P - 1n, Y8, P - Y8, P, P + 1n, P + 2n, P + 18n]
  return ys.flatMap((y) =>
    [0n, 1n].map((sign) => Buffer.from((y + (sign << 255n)).toString(16).padStart(64, '0'), 'hex').reverse()),
  )
}

describe.each(which('busybox') === undefined ? ['system'] : ['system', 'busybox'])(
  'verify.sh with the tools of %s',
  (kind) => {
    let bin = ''
    beforeAll(() => {
      bin = toolsOf(kind)
    })

    const run = (
      args: string[],
      {
        path = bin,
        cwd = work,
        env = {},
      }: { path?: string; cwd?: string; env?: Record<string, string> } = {},
    ) => {
      const { status, stderr, stdout } = spawnSync(join(bin, 'sh'), args, {
        cwd,
        encoding: 'utf8',
        env: { PATH: path, ...env },
        timeout: PATIENCE,
        killSignal: 'SIGKILL',
        maxBuffer: 1 << 26,
      })
      return { status, stderr, stdout }
    }
    const verify = (dir: string, ...args: string[]) => run([join(dir, 'verify.sh'), ...args])
    /**
     * Expects status 1 and no line that matches `right`. The script reports separately on a ledger, its audit sub-ledger, a tree and a
     * signature.
     */
    const expectFalse = (said: ReturnType<typeof run>, label: string, right = /^true:/m): void => {
      expect([said.status, right.test(said.stderr)], `${label}: ${said.stderr}`).toEqual([1, false])
    }
    const inAudit = /^true: .*audit has/m

    it('accepts the unchanged ledgers', () => {
      for (const dir of [ledger, tailed]) expect(verify(dir)).toMatchObject({ status: 0 })
    })

    it('rejects keys of low order and keys that are not canonical', async () => {
      for (const key of kind === 'busybox' ? weakKeys().slice(0, 3) : weakKeys()) {
        const label = key.toString('hex')
        const dir = copyOf(ledger)
        const vkey = vkeyOf(key)
        const id = Buffer.from(vkey.split('+')[1] ?? '', 'hex')
        const signature = Buffer.concat([id, key, Buffer.alloc(32)]).toString('base64')
        const [text = ''] = readFileSync(join(dir, 'checkpoint'), 'utf8').split('\n\n')
        write(dir, 'checkpoint', `${text}\n\n— ${TEST_ORIGIN} ${signature}\n`)
        expectFalse(verify(dir, '-k', vkey), `-k ${label}`)
        const lines = readmeText(TEST_ORIGIN).split(SHELL_MARK)[1] as string
        writeFileSync(join(work, 'lines'), lines)
        expectFalse(
          run([join(work, 'lines'), '3', vkey], { cwd: dir }),
          `the lines: ${label}`,
          /^true: .*signature/m,
        )
        write(dir, 'keys/ed25519.vkey', `${vkey}\n`)
        expect((await verifyDirectory(dir)).ok).toBe(false)
        expectFalse(verify(dir), label)
        expect(verify(dir).stderr).toContain('keys/ed25519.vkey: expected an Ed25519 key that is canonical')
        if (kind === 'system') expect(runVerifier(dir).status).not.toBe(0)
        rmSync(dir, { recursive: true })
      }
    })

    it('rejects more keys than fit into the environment', () => {
      const dir = copyOf(ledger)
      for (let i = 0; i < 1001; i++) {
        const key = Buffer.alloc(32, 7)
        key.writeUInt32BE(i)
        writeFileSync(join(dir, `keys/k${i}.vkey`), `${vkeyOf(key)}\n`)
      }
      expectFalse(verify(dir), 'keys')
    })

    it('rejects a long origin, one with a NUL byte, and one with a carriage return', () => {
      for (const origin of [
        'a'.repeat(300_000),
        'a'.repeat(200_000),
        `${TEST_ORIGIN}\0`,
        `${TEST_ORIGIN}\r`,
      ]) {
        const dir = copyOf(ledger)
        write(dir, 'origin', `${origin}\n`)
        expectFalse(verify(dir), origin.slice(-40))
      }
    })

    it('rejects a checkpoint with a NUL byte, a name with a plus, and one that is not UTF-8', async () => {
      const note = readFileSync(join(ledger, 'checkpoint'), 'latin1')
      for (const more of ['— a\0b AAAAAAA=\n', '— a+b AAAAAAA=\n', '— a\xff AAAAAAA=\n']) {
        const dir = copyOf(ledger)
        write(
          dir,
          'checkpoint',
          Buffer.from(note + Buffer.from('— ').toString('latin1') + more.slice(2), 'latin1'),
        )
        expect((await verifyDirectory(dir)).ok).toBe(false)
        expectFalse(verify(dir), JSON.stringify(more))
      }
    })

    it('rejects anything but a regular file, and does not wait for it', () => {
      for (const from of [ledger, tailed]) {
        for (const path of [
          'origin',
          'checkpoint',
          'README.txt',
          'verify.sh',
          'keys/ed25519.vkey',
          'keys/b.vkey',
          'tile/0/000.b64',
          'audit',
          'audit/checkpoint',
          'tail/000000000000',
        ]) {
          if (path.startsWith('tail') && from === ledger) continue
          for (const make of [
            (at: string) => spawnSync('mkfifo', [at]),
            (at: string) => symlinkSync('/dev/zero', at),
          ]) {
            const dir = copyOf(from)
            rmSync(join(dir, path), { recursive: true, force: true })
            mkdirSync(join(dir, 'tile/0'), { recursive: true })
            make(join(dir, path))
            expectFalse(
              run([join(ledger, 'verify.sh'), '-d', dir]),
              path,
              path.startsWith('audit/') ? inAudit : undefined,
            )
            rmSync(dir, { recursive: true })
          }
        }
      }
    })

    it('rejects hostile names, and runs nothing in them', () => {
      for (const name of [
        '-rf',
        'a b',
        'a\nb',
        '$(touch ran)',
        '`touch ran`',
        '\\',
        '*',
        "'",
        ';touch ran',
        '.a',
        '..a',
        'tile\n',
        '\xff',
      ])
        for (const folder of ['.', 'keys', 'tile', 'tile/0', 'tail', 'audit/keys']) {
          const dir = copyOf(tailed)
          mkdirSync(join(dir, 'tile/0'), { recursive: true })
          writeFileSync(join(dir, folder, name), 'x\n')
          expectFalse(verify(dir), `${folder}/${name}`, folder.startsWith('audit') ? inAudit : undefined)
          expect(
            readdirSync(dir, { recursive: true }).filter(
              (at) => String(at).endsWith('ran') && !String(at).includes('touch'),
            ),
          ).toEqual([])
          rmSync(dir, { recursive: true })
        }
    })

    it('rejects files of a size that no tile has', () => {
      for (const path of ['tile/entries/000.b64', 'tile/0/000.b64', 'keys/ed25519.vkey', 'README.txt']) {
        const dir = copyOf(ledger)
        rmSync(join(dir, path), { force: true })
        // The wc of busybox reads the whole file, so the file is smaller there.
        expect(spawnSync('truncate', ['-s', kind === 'busybox' ? '64M' : '1T', join(dir, path)]).status).toBe(
          0,
        )
        expectFalse(verify(dir), path)
        rmSync(dir, { recursive: true })
      }
    })

    it('rejects a proof of only a part of a payload', async () => {
      const payload = Buffer.from('first\n\nsecond')
      const records = [
        ...mixedRecords(20),
        { id: 'x', type: 'text/plain', time: '2031-01-01T00:00:00.000Z', payload },
      ]
      const entries = records.flatMap((record) => entriesOf(record, sha256Hex))
      const dir = join(work, `proofs-${kind}`)
      mkdirSync(dir)
      await makeBoth(dir, { records, tail: 'export' })
      const at = entries.length - 1
      const proof = await proofOf(entries, at)
      const header = Buffer.from(entries[at] as Uint8Array).subarray(0, -payload.length)
      const split = (n: number): string =>
        proof.replace(
          /^extra .*$/m,
          `extra ${Buffer.concat([header, payload.subarray(0, n)]).toString('base64')}`,
        )
      const part = entries[18] as Uint8Array
      const end = Buffer.from(part).indexOf('\n\n') + 2
      for (const [text, record, status] of [
        [proof, payload, 0],
        [split(0), payload, 0],
        [split(7), payload.subarray(7), 1],
        [
          (await proofOf(entries, 18)).replace(
            /^extra .*$/m,
            `extra ${Buffer.from(part.subarray(0, end)).toString('base64')}`,
          ),
          part.subarray(end),
          1,
        ],
      ] as const) {
        writeFileSync(join(work, 'a.tlog-proof'), text)
        writeFileSync(join(work, 'payload'), record)
        const said = verify(dir, 'proof', join(work, 'a.tlog-proof'), join(work, 'payload'))
        expect([said.status, /^true:/m.test(said.stderr)], said.stderr).toEqual([status, status === 0])
      }
    })

    it('reports nothing as true when a program is missing or fails', () => {
      for (const tool of [
        'awk',
        'cut',
        'mkdir',
        'mktemp',
        'mv',
        'od',
        'openssl',
        'rm',
        'sed',
        'sort',
        'tr',
        'wc',
        'tee',
        'base64',
      ]) {
        for (const broken of [false, true]) {
          const path = toolsOf(kind, tool)
          if (broken) {
            writeFileSync(join(path, tool), '#!/bin/sh\nexit 1\n')
            chmodSync(join(path, tool), 0o755)
          }
          const said = run([join(tailed, 'verify.sh')], { path })
          const without = ['base64', 'fold'].includes(tool) // openssl decodes too
          expect([said.status === 0, /^true:/m.test(said.stderr)], `${tool}: ${said.stderr}`).toEqual([
            without,
            without,
          ])
        }
      }
    })

    it.skipIf(process.getuid?.() !== 0)(
      'reports nothing as true when the disk is full at any point',
      () => {
        const small = mkdtempSync(join(work, 'small-'))
        const dir = join(work, `damaged-${kind}`)
        cpSync(tailed, dir, { recursive: true })
        const tail = join(dir, 'tail', readdirSync(join(dir, 'tail')).sort()[0] as string)
        // The last signature is wrong: everything must be read to see it.
        const text = readFileSync(tail, 'latin1')
        writeFileSync(
          tail,
          Buffer.from(
            text
              .replace(/(.{30})AAAA/, '$1BBBB')
              .replace(
                /(\xe2\x80\x94 \S+ .{20})(.)/,
                (_, a: string, b: string) => a + (b === 'A' ? 'B' : 'A'),
              ),
            'latin1',
          ),
        )
        expectFalse(run([join(dir, 'verify.sh')]), 'a whole disk')
        expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]).status).toBe(0)
        try {
          for (let kib = 0; kib <= 1600; kib = kib * 1.5 + 4) {
            writeFileSync(
              join(small, 'fill'),
              Buffer.alloc((2 << 20) >> 0).subarray(0, (2 << 20) - Math.floor(kib / 4) * 4096),
            )
            const said = run([join(dir, 'verify.sh')], { env: { TMPDIR: small } })
            expect([said.status === 0, /^true:/m.test(said.stderr)], `${kib} KiB: ${said.stderr}`).toEqual([
              false,
              false,
            ])
            rmSync(join(small, 'fill'))
            expect(readdirSync(small)).toEqual([])
          }
        } finally {
          spawnSync('umount', [small])
        }
      },
      300_000,
    )

    it('exits with status 2 on wrong usage', () => {
      for (const args of [
        ['what'],
        ['entry'],
        ['entry', '1', '2'],
        ['proof', 'a'],
        ['-x'],
        ['-d', ''],
        ['-d', '/nowhere'],
        ['proof', '/nowhere', '/nowhere'],
        ['-k'],
      ])
        expect(verify(ledger, ...args).status, args.join(' ')).toBe(2)
    })

    it('accepts a temporary directory with a relative or unusual name, and ignores OPTIND', () => {
      for (const name of ['tmp', 'a b', 'a=b', 'a\\nb', '-x', '$(x)', "it's", '*']) {
        mkdirSync(join(work, name), { recursive: true })
        const said = run([join(tailed, 'verify.sh')], { env: { TMPDIR: name } })
        expect([said.status, readdirSync(join(work, name))], `${name}: ${said.stderr}`).toEqual([0, []])
      }
      expectFalse(run([join(ledger, 'verify.sh'), '-k', 'x'], { env: { OPTIND: '3' } }), 'OPTIND')
    })
  },
)

it('the tested script is the one in these ledgers', () => {
  expect(readFileSync(join(ledger, 'verify.sh'), 'utf8')).toBe(VERIFY_SH)
})
