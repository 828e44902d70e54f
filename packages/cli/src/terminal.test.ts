// Runs every command with names and messages that contain control sequences for terminals.
import { mkdir, rename, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { cli } from './testing.ts'
import {
  makeLedger,
  remove,
  runTar,
  startServer,
  temporary,
  testRecords,
  testSigner,
  writeBelow,
} from '@service-fs/client/testing'
import type { TestIo } from './testing.ts'
import { buildProgram } from './program.ts'

/** Text that clears the screen, sets a title, begins lines, reverses the text direction, and hides text. */
const HOSTILE = 'x\u001b[2J\u001b]0;t\u0007\r\u009b31m\u202eabc\u2066\u200b\u2028y\u007f\u{e0041}'
const UNSAFE = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u

let base = ''
const cleanups: (() => Promise<void>)[] = []

beforeEach(async () => {
  base = await temporary()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
  await remove(base)
})

/** Runs a command, and checks that its output is safe on a terminal and each error is one line. */
async function run(...args: string[]): Promise<TestIo> {
  const io = await cli(...args)
  const what = JSON.stringify(args)
  expect(
    UNSAFE.exec(io.text())?.[0].codePointAt(0)?.toString(16),
    `${what} on standard output`,
  ).toBeUndefined()
  for (const line of io.errors) {
    expect(UNSAFE.exec(line)?.[0].codePointAt(0)?.toString(16), `${what} on standard error`).toBeUndefined()
    expect(line, what).not.toMatch(/[\n\t]/)
  }
  return io
}

type Answer = (path: string, response: ServerResponse) => void

/** Starts a server. Unless `streams` is set, it refuses /v1/follow, because a client would wait forever for events. */
async function served(answer: Answer, streams = false): Promise<string> {
  const server = await startServer((request, response) => {
    const path = request.url ?? ''
    if (path.startsWith('/v1/follow') && !streams) response.statusCode = 400
    answer(path, response)
  })
  cleanups.push(() => server.close())
  return server.url
}

const record = { payload_id: `${HOSTILE}\n`, type: HOSTILE, time: HOSTILE, payload: {} }

/** The arguments of each command, after `--url` or a place. */
const OVER_HTTP = [
  ['ls'],
  ['ls', '--long'],
  ['ls', '--json'],
  ['follow', '--limit', '1'],
  ['follow', '--limit', '1', '--json'],
  ['get', '--id', HOSTILE],
  ['get', '--id', HOSTILE, '--json', '--no-verify'],
  ['get', '--cursor', '1', '--no-verify', '--json'],
  ['get', '--all', '--out', '/nowhere/at/all'],
  ['proof', '--id', HOSTILE],
  ['proof', '--cursor', '1', '--json'],
  ['verify'],
  ['verify', '--json'],
  ['audit', 'ls'],
  ['audit', 'prove', '--index', '0'],
  ['audit', 'verify'],
  ['append', '/etc/hostname', '--id', 'a'],
  ['append', '/etc/hostname', '--id', 'a', '--json'],
]

it('the text of a server is made safe', async () => {
  const answers: Answer[] = [
    (_, response) => {
      response.writeHead(400, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ code: HOSTILE, title: HOSTILE, detail: `${HOSTILE}\nservice-fs: true` }))
    },
    (_, response) => response.end(HOSTILE),
    (_, response) =>
      response.end(JSON.stringify({ ...record, cursor: HOSTILE, origin: HOSTILE, vkeys: [HOSTILE] })),
    (path, response) => {
      if (path.startsWith('/v1/contract'))
        response.end(JSON.stringify({ origin: HOSTILE, vkeys: [testSigner().vkey], limits: {} }))
      else if (path.startsWith('/v1/follow')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        // Send the text unescaped in the JSON, because the command prints the line as it arrived.
        const raw = JSON.stringify({ ...record, cursor: 1, type: 'T' }).replace('"T"', '"\u009b\u202e"')
        response.end(`event: record\nid: 1\ndata: ${raw}\n\n`)
      } else response.end(`${JSON.stringify({ ...record, cursor: 1 })}\n`)
    },
  ]
  for (const [i, answer] of answers.entries()) {
    const url = await served(answer, i === 3)
    for (const args of OVER_HTTP) await run(...args, '--url', url)
  }
})

it('ids are quoted so that no two look alike, and printed unchanged as JSON', async () => {
  const url = await served((path, response) =>
    response.end(path.endsWith('since=0') ? `${JSON.stringify({ ...record, cursor: 1 })}\n` : ''),
  )
  const text = (await run('ls', '--url', url)).text()
  expect(text.trimEnd().split('\n')).toHaveLength(1)
  expect(JSON.parse(text)).toBe(record.payload_id)
  expect(JSON.parse((await run('ls', '--json', '--url', url)).text())).toMatchObject({
    payload_id: record.payload_id,
  })
})

it('the names of appended files are made safe', async () => {
  const tree = join(base, 'tree')
  await writeBelow(tree, `${HOSTILE}\n`, 'x')
  await writeBelow(tree, '\u202edir/file', 'x')
  await writeFile(Buffer.concat([Buffer.from(join(tree, 'bad')), Buffer.of(0xff)]), 'x')
  const url = await served((path, response) => {
    if (path.startsWith('/v1/contract')) {
      response.end('{}')
      return
    }
    response.writeHead(409, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ code: 'conflict', detail: HOSTILE }))
  })
  const { errors, code } = await run('append', tree, '--url', url)
  expect(code).toBe(3)
  expect(errors.some((line) => line.includes(String.raw`bad\udcff": its name is not UTF-8`))).toBe(true)
  expect(errors.some((line) => line.includes(String.raw`\u001b[2J`))).toBe(true)
  expect(errors.some((line) => line.startsWith(String.raw`service-fs: "tree/\u202edir/file": `))).toBe(true)
  const json = JSON.parse((await run('append', tree, '--url', url, '--json')).text()) as {
    refused: { name: string }[]
  }
  expect(json.refused.map(({ name }) => name)).toContain(join(tree, `${HOSTILE}\n`))
})

it('the names in directories and archives are made safe', async () => {
  const ledger = join(base, 'ledger')
  await makeLedger(ledger, { records: testRecords(3) })
  await writeBelow(ledger, `${HOSTILE}\n`, 'x')
  await writeBelow(ledger, `tile/0/${HOSTILE}`, 'x')
  await writeBelow(ledger, `tail/${HOSTILE}`, 'x')
  await writeBelow(ledger, `keys/${HOSTILE}`, HOSTILE)
  await writeBelow(ledger, 'origin', `${HOSTILE}\n${HOSTILE}\n`)
  await writeBelow(ledger, 'checkpoint', `${HOSTILE}\n3\n${HOSTILE}\n\n— ${HOSTILE} AAAA\n`)
  const place = join(base, HOSTILE)
  await mkdir(place)
  await rename(ledger, join(place, 'ledger'))
  await runTar(place, '-cf', join(place, 'a.tar'), 'ledger')
  for (const at of [join(place, 'ledger'), join(place, 'a.tar'), join(place, 'none'), place]) {
    for (const args of [
      ['verify', at],
      ['verify', at, '--json'],
      ['verify', at, '--vkey', HOSTILE],
      ['verify', at, '--policy', at],
      ['audit', 'ls', at],
      ['audit', 'verify', at],
      ['export', at, '--out', join(base, 'out')],
      ['restore', at, '--out', join(base, 'out')],
      ['restore', at, '--out', join(base, 'out.img'), '--module-id', HOSTILE],
      ['verify-proof', at, '--record', at, '--vkey', testSigner().vkey],
    ])
      await run(...args)
  }
})

it('the arguments are made safe', async () => {
  const { commands } = buildProgram()
  const names = commands.map((one) => one.name())
  for (const command of names.filter((_, i) => !QUICK || i % 4 === 0)) {
    await run(command, `--${HOSTILE}`)
    await run(command, HOSTILE)
    await run(command, HOSTILE, HOSTILE, HOSTILE)
    for (const option of [
      '--url',
      '--module-id',
      '--cursor',
      '--since',
      '--token-file',
      '--cacert',
      '--out',
      '--name',
    ])
      await run(command, option, HOSTILE, ...(option === '--url' ? [] : ['--url', 'http://127.0.0.1:1']))
  }
  await run(HOSTILE)
})

it('the bytes of a payload and of a proof are printed unchanged', async () => {
  const url = await served((path, response) =>
    response.end(
      JSON.stringify({
        ...record,
        cursor: 1,
        payload: undefined,
        payload_base64: Buffer.from(HOSTILE).toString('base64'),
      }),
    ),
  )
  const io = await cli('get', '--cursor', '1', '--no-verify', '--url', url)
  expect(io.bytes()).toEqual(Buffer.from(HOSTILE))
})
