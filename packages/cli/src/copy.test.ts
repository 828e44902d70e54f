// Tests exports and restored ledgers. copy-sizes.test.ts tests them at many sizes.
import { execFileSync } from 'node:child_process'
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { tailName } from '@service-fs/format/tail-text'
import { readTail } from '@service-fs/format/tail-read'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { describe, expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { cli } from './testing.ts'
import { at, dir, done, exported, makeAcme, useDirectory } from './testing-copies.ts'
import {
  filesBelow,
  makeLedger,
  remove,
  runTar,
  startServer,
  serveDirectory,
  testRecords,
  testSigner,
  writeBelow,
} from '@service-fs/client/testing'

useDirectory()

describe('an export', () => {
  it('an export has the contents that the format requires, as other programs read them', async () => {
    const acme = await makeAcme({ records: testRecords(600) })
    await done('export', acme, '--out', at('out'))
    await done('export', acme, '--out', at('out.tar'))
    const names = Object.keys(await filesBelow(at('out')))
    const own = ['README.txt', 'checkpoint', 'keys/ed25519.vkey', 'origin', 'verify.sh']
    const tiles = ['tile/0/000.b64', 'tile/0/001.b64', 'tile/0/002.p/88.b64', 'tile/1/000.p/2.b64']
    tiles.push('tile/entries/000.b64', 'tile/entries/001.b64', 'tile/entries/002.p/88.b64')
    const audit = ['tile/0/000.p/30.b64', 'tile/entries/000.p/30.b64']
    const all = [...own, ...tiles, ...[...own, ...audit].map((name) => `audit/${name}`)].sort()
    expect(names).toEqual(all)
    expect((await runTar(dir, '-tf', 'out.tar')).trimEnd().split('\n')).toEqual(all)
    const listed = (await runTar(dir, '--numeric-owner', '--utc', '-tvf', 'out.tar')).trimEnd().split('\n')
    for (const line of listed) expect(line).toMatch(/^-r--r--r-- 0\/0 +\d+ 1970-01-01 00:00 \S+$/)
    await mkdir(at('extracted'))
    await runTar(dir, '-C', 'extracted', '-xf', 'out.tar')
    expect(await filesBelow(at('extracted'))).toEqual(await filesBelow(at('out')))
    for (const [name, mode] of [
      ['out', 0o700],
      ['out/checkpoint', 0o444],
      ['out.tar', 0o600],
    ] as const)
      expect((await stat(at(name))).mode & 0o777, name).toBe(mode)
    const shell = `for n in 0 255 256 599; do b=$(printf %03d $((n / 256))); [ $b = 002 ] && b=$b.p/88
      i=$((n % 256 + 1)); { printf '\\000'; sed -n \${i}p tile/entries/$b.b64 | base64 -d; } | sha256sum | cut -c1-64
      sed -n \${i}p tile/0/$b.b64 | base64 -d | od -An -v -tx1 | tr -d ' \\n'; echo; done`
    const hashes = execFileSync('sh', ['-c', shell], { cwd: at('out'), encoding: 'utf8' })
      .trim()
      .split('\n')
    expect(hashes).toHaveLength(8)
    for (let i = 0; i < 8; i += 2) expect(hashes[i]).toBe(hashes[i + 1])
  })

  it('an export has the newest complete commit of a ledger in use, without its working files', async () => {
    const acme = await makeAcme({ records: testRecords(300) })
    const first = await exported(acme, 'first')
    await writeBelow(acme, 'lock', '17\n')
    await writeBelow(acme, 'cache/records/1.ldb', 'x')
    await writeBelow(acme, 'tmp/1', 'x')
    await appendFile(join(acme, 'tail/000000000256'), 'QUJD\nQUJ')
    expect(await exported(acme, 'second')).toEqual(first)
  })

  it("export skips the audit sub-ledger on request, or when it can't be read", async () => {
    const acme = await makeAcme({ records: testRecords(300) })
    await done('export', acme, '--no-audit', '--out', at('without'))
    expect(Object.keys(await filesBelow(at('without'))).join()).not.toContain('audit')
    await rename(join(acme, 'audit'), at('audit'))
    const server = await serveDirectory(acme)
    const io = await done('export', server.url, '--out', at('remote'))
    await server.close()
    expect(io.text()).toContain('the audit sub-ledger was not verified')
    expect(await filesBelow(at('remote'))).toEqual(await filesBelow(at('without')))
  })

  it('export uses full tiles when a static host has deleted the partial tiles', async () => {
    const acme = await makeAcme({ records: testRecords(300) })
    const before = await exported(acme, 'before')
    const note = await readFile(join(acme, 'checkpoint'))
    await remove(acme)
    const now = await serveDirectory(await makeAcme({ records: testRecords(512) }))
    const host = await startServer(async (request, response) => {
      const path = request.url ?? ''
      const answer = await fetch(now.url + path.slice(1))
      const gone = /\/(?:0|entries)\/\d+\.p\//.test(path)
      const body = path === '/checkpoint' ? note : Buffer.from(await answer.arrayBuffer())
      response.writeHead(gone ? 404 : answer.status).end(body)
    })
    await done('export', host.url, '--no-audit', '--out', at('out'))
    const main = Object.entries(before).filter(([path]) => !path.startsWith('audit/'))
    expect(await filesBelow(at('out'))).toEqual(Object.fromEntries(main))
    for (const server of [now, host]) await server.close()
  })
})

describe('a restored ledger', () => {
  it('a restored ledger has the files that the format requires', async () => {
    await makeAcme({ records: testRecords(600) })
    await done('export', at('acme'), '--out', at('out.tar'))
    const io = await done('restore', at('out.tar'), '--out', at('back'))
    expect(io.text()).toContain(`put its private keys into ${at('.secret/back')}`)
    await done('verify', at('back'), '--vkey', testSigner().vkey)
    for (const [path, mode] of [
      ['', 0o700],
      ['tile/entries', 0o700],
      ['tile/entries/001.b64', 0o444],
      ['README.txt', 0o444],
      ['verify.sh', 0o444],
      ['keys/ed25519.vkey', 0o444],
      ['tail/000000000512', 0o600],
      ['checkpoint', 0o600],
      ['audit', 0o700],
    ] as const)
      expect((await stat(at('back', path))).mode & 0o777, path).toBe(mode)
  })

  it('restore makes missing parent directories, accessible only by their owner', async () => {
    await makeAcme({ records: testRecords(3) })
    await done('export', at('acme'), '--out', at('far/away/out.tar'))
    await done('restore', at('far/away/out.tar'), '--out', at('not/there/acme'))
    await done('restore', at('far/away/out.tar'), '--out', at('nor/there/a.img'), '--module-id', 'acme')
    await done('verify', at('not/there/acme'))
    for (const path of ['far', 'far/away', 'not', 'not/there', 'nor/there'])
      expect((await stat(at(path))).mode & 0o777, path).toBe(0o700)
  })

  it('a restored ledger has one tail file with at least one entry, which begins with the last bundle', async () => {
    const origin = 'example.org/ledger/test'
    for (const [size, start] of [
      [1, 0],
      [256, 0],
      [257, 256],
      [512, 256],
      [600, 512],
    ] as const) {
      await makeLedger(at('acme'), { records: testRecords(size), commit: 40 })
      await done('restore', at('acme'), '--out', at('back'))
      const name = `tail/${tailName(start)}`
      expect(await readdir(at('back/tail'))).toEqual([tailName(start)])
      const bytes = await readFile(at('back', name))
      const files = async function* () {
        yield { start, bytes }
      }
      const tail = await readTail(files(), { origin, verifiers: [verifierFromVkey(testSigner().vkey)] })
      expect(tail).toMatchObject({ start, rest: 'none', checkpoint: { size } })
      expect(tail?.lines).toHaveLength(size - start)
      expect(tail?.note).toBe(await readFile(at('back/checkpoint'), 'utf8'))
      await done('verify', at('back'))
      for (const used of ['acme', 'back']) await remove(at(used))
    }
    await makeLedger(at('acme'), { records: [] })
    await done('restore', at('acme'), '--out', at('back'))
    expect((await readdir(at('back'))).sort()).toEqual([
      'README.txt',
      'checkpoint',
      'keys',
      'origin',
      'verify.sh',
    ])
  })

  it('a restored ledger in a disk image is a tar archive with a private folder', async () => {
    const acme = await makeAcme({ records: testRecords(512) })
    await done('export', acme, '--out', at('out'))
    await done('restore', at('out'), '--out', at('a.img'), '--module-id', 'acme')
    await done('verify', at('a.img'))
    const image = await readFile(at('a.img'))
    expect(image.length).toBe(256 << 20)
    const lines = (await runTar(dir, '--numeric-owner', '-tvf', 'a.img')).trimEnd().split('\n')
    expect(lines[0]).toMatch(/^drwx------ 0\/0 .* acme\/$/)
    expect(lines.join('\n')).toMatch(/-rw------- 0\/0 .* acme\/tail\/000000000256\n/)
    expect(lines.join('\n')).toMatch(/-rw------- 0\/0 .* acme\/checkpoint\n/)
    expect(lines.filter((line) => !line.startsWith('-r--r--r--'))).toHaveLength(5)
    await mkdir(at('extracted'))
    await runTar(dir, '-C', 'extracted', '-xf', 'a.img')
    await done('restore', at('out'), '--out', at('back'))
    expect(await filesBelow(at('extracted/acme'))).toEqual(await filesBelow(at('back')))
    await done('restore', at('out'), '--out', at('b.img'), '--module-id', 'acme', '--disk-size', '1M')
    expect((await readFile(at('b.img'))).equals(image.subarray(0, 1 << 20))).toBe(true)
    const small = await cli(
      'restore',
      at('out'),
      '--out',
      at('c.img'),
      '--module-id',
      'acme',
      '--disk-size',
      '64K',
    )
    expect(small).toMatchObject({ code: 2 })
    expect(small.errors[0]).toMatch(/--disk-size: expected at least \d+ bytes, found 65536/)
  })

  it('restore takes the tenant from the origin, and refuses an invalid tenant', async () => {
    await makeLedger(at('acme'), { records: testRecords(3) })
    await done('restore', at('acme'), '--out', at('a.img'), '--disk-size', '1M')
    expect(await runTar(dir, '-tf', 'a.img')).toContain('test/checkpoint\n')
    await makeLedger(at('other'), { records: testRecords(3), origin: 'example.org/Ledger' })
    expect(await cli('restore', at('other'), '--out', at('b.img'))).toMatchObject({ code: 2 })
    const bad = await cli('restore', at('acme'), '--out', at('b.img'), '--module-id', '../x')
    expect(bad).toMatchObject({ code: 2 })
  })
})

/** Changes one character in the middle of a file. */
async function flip(path: string): Promise<void> {
  const text = await readFile(path, 'latin1')
  const middle = text.indexOf('\n') >> 1
  await chmod(path, 0o600)
  await writeFile(
    path,
    text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1),
    'latin1',
  )
}

describe('copying a ledger that does not verify', () => {
  it('copying reports the changed file of a ledger or of an export', async () => {
    await done('export', await makeAcme({ records: testRecords(600) }), '--out', at('good'))
    let turn = 0
    for (const source of ['acme', 'good']) {
      for (const path of Object.keys(await filesBelow(at(source)))) {
        if (path.endsWith('README.txt')) continue
        await cp(at(source), at('bad'), { recursive: true })
        await flip(at('bad', path))
        await runTar(dir, '-C', 'bad', '-cf', 'bad.tar', '.')
        for (const place of ['bad', 'bad.tar']) {
          for (const [command, out] of [
            ['export', 'out'],
            ['export', 'out.tar'],
            ['restore', 'r'],
            ['restore', 'r.img'],
          ]) {
            // There are eight ways to copy, so every third attempt still covers each way and each file.
            if (QUICK && turn++ % 3 !== 0) continue
            const io = await cli(
              command as string,
              at(place),
              '--out',
              at(out as string),
              '--json',
              ...(out === 'r.img' ? ['--module-id', 'x'] : []),
            )
            expect(io.code, `${command} ${place} ${path} ${io.errors.join()}`).toBe(1)
            expect(io.text()).toContain(path.replace('audit/', ''))
          }
        }
        await rm(at('bad'), { recursive: true })
      }
    }
    expect((await readdir(dir)).sort()).toEqual(['acme', 'bad.tar', 'good'])
  })

  it('copying refuses an export with a missing or extra file, or with a size that differs from its checkpoint', async () => {
    await done('export', await makeAcme({ records: testRecords(600) }), '--out', at('good'))
    const changes: [string, () => Promise<unknown>][] = [
      ['tile/entries/002.p/88.b64', () => rm(at('bad/tile/entries/002.p/88.b64'))],
      ['tile/1/000.p/2.b64', () => rm(at('bad/tile/1/000.p/2.b64'))],
      ['tile/0/000.b64', () => rm(at('bad/tile/0/000.b64'))],
      ['notes.txt', () => writeFile(at('bad/notes.txt'), 'x')],
      ['tile/entries/003.b64', () => cp(at('bad/tile/entries/000.b64'), at('bad/tile/entries/003.b64'))],
      ['origin', () => rm(at('bad/origin'))],
      ['checkpoint', () => rm(at('bad/checkpoint'))],
      ['keys', () => rm(at('bad/keys/ed25519.vkey'))],
    ]
    for (const [file, change] of changes) {
      await cp(at('good'), at('bad'), { recursive: true })
      await change()
      const io = await cli('restore', at('bad'), '--out', at('back'))
      expect(io.code, file).toBe(1)
      expect(io.errors.join('\n')).toContain(`${at('bad')}: ${file}`)
      await rm(at('bad'), { recursive: true })
    }
    expect((await readdir(dir)).sort()).toEqual(['acme', 'good'])
  })

  it('copying rejects a key other than the pinned key, and a ledger without the key that a daemon needs', async () => {
    const acme = await makeAcme({ records: testRecords(10) })
    const other = testSigner('example.org/ledger/test', 9).vkey
    expect(await cli('export', acme, '--out', at('out'), '--vkey', other)).toMatchObject({ code: 1 })
    await done('export', acme, '--out', at('out'), '--vkey', testSigner().vkey)
    await rename(at('out/keys/ed25519.vkey'), at('out/keys/old.vkey'))
    const io = await cli('restore', at('out'), '--out', at('back'))
    expect(io.code).toBe(3)
    expect(io.errors[0]).toContain("keys/ed25519.vkey: expected a file with the log's key")
    // The ledger publishes this key, but another key signed.
    await writeFile(at('out/keys/old.vkey'), other + '\n')
    const shown = await cli('export', at('out'), '--out', at('again'), '--vkey', testSigner().vkey)
    expect(shown.code).toBe(1)
    expect((await readdir(dir)).sort()).toEqual(['acme', 'out'])
  })

  it('copying rejects a server whose tiles do not yield its root, or which closes the connection', async () => {
    const acme = await makeAcme({ records: testRecords(600) })
    const good = await serveDirectory(acme)
    const proxy = await startServer(async (request, response) => {
      const answer = await fetch(good.url + (request.url ?? '').slice(1))
      const body = Buffer.from(await answer.arrayBuffer())
      if (request.url === '/tile/entries/001') body[5000] = (body[5000] ?? 0) ^ 1
      const broken = request.url === '/audit/tile/0/000.p/30'
      response.writeHead(broken ? 500 : answer.status).end(body)
    })
    const io = await cli('export', proxy.url, '--out', at('out'))
    expect(io.code).toBe(3)
    const main = await cli('export', proxy.url, '--no-audit', '--out', at('out.tar'))
    expect(main.code).toBe(1)
    expect(main.errors[0]).toContain('tile/entries/001')
    await proxy.close()
    await good.close()
    expect((await readdir(dir)).sort()).toEqual(['acme'])
  })
})

describe('an existing file', () => {
  it('an existing file is never overwritten, and wrong usage exits with status 2', async () => {
    const acme = await makeAcme({ records: testRecords(10) })
    await writeFile(at('file.tar'), 'mine')
    await writeFile(at('disk.img'), 'mine')
    await mkdir(at('empty'))
    for (const [command, out] of [
      ['export', 'empty'],
      ['export', 'file.tar'],
      ['export', 'disk'],
      ['restore', 'empty'],
      ['restore', 'disk.img'],
    ] as const) {
      if (out === 'disk') await writeFile(at('disk'), 'mine')
      const io = await cli(command, acme, '--out', at(out))
      expect(io.code, `${command} ${out}`).toBe(3)
      expect(io.errors[0]).toBe(`service-fs: ${at(out)}: the file exists and is not overwritten`)
    }
    for (const name of ['file.tar', 'disk.img', 'disk']) expect(await readFile(at(name), 'utf8')).toBe('mine')
    for (const args of [
      ['export', acme],
      ['export', acme, '--out', at('a.img')],
      ['restore', acme],
      ['restore', acme, '--out', at('a.tar')],
      ['restore', acme, '--out', at('a'), '--disk-size', '1M'],
      ['restore', acme, '--out', at('a.img'), '--disk-size', '1000'],
      ['restore', acme, '--out', at('a.img'), '--disk-size', '1T'],
      ['restore'],
    ]) {
      const { code, errors } = await cli(...args)
      expect(code, args.join(' ')).toBe(2)
      expect(errors).toHaveLength(1)
    }
    for (const args of [
      ['export', at('none'), '--out', at('a')],
      ['export', acme, '--out', at('file.tar/below')],
      ['restore', at('file.tar'), '--out', at('a')],
    ])
      expect((await cli(...args)).code, args.join(' ')).toBe(3)
    expect((await readdir(dir)).sort()).toEqual(['acme', 'disk', 'disk.img', 'empty', 'file.tar'])
  })

  it('export prints the result as JSON', async () => {
    const acme = await makeAcme({ records: testRecords(10) })
    const io = await done('export', acme, '--out', at('out.tar'), '--json')
    const { size } = await stat(at('out.tar'))
    expect(JSON.parse(io.text())).toMatchObject({
      ok: true,
      size: 10,
      audit: { ok: true, size: 30 },
      out: at('out.tar'),
      written: { files: 14, bytes: size },
    })
    const back = await done(
      'restore',
      at('out.tar'),
      '--out',
      at('x.img'),
      '--disk-size',
      '256K',
      '--module-id',
      'x',
      '--json',
    )
    expect(JSON.parse(back.text())).toMatchObject({ ok: true, written: { files: 12, bytes: 262_144 } })
  })
})
