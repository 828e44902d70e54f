// Ledgers of both envelopes, for verifiers other than this software.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  authorFields,
  JWS_TYPE,
  SIGNATURE_OF_FIELD,
  signatureId,
  type Author,
} from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { makeLedger, testRecords, TEST_ORIGIN, type TestLedger } from '@service-fs/client/testing'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { serviceFs } from '../support/daemon.ts'
import { collect, end, hasExited, sleep } from '../support/process.ts'

/** Records with a payload and header fields of all kinds; one is split over five entries. */
export function mixedRecords(count: number): RecordContent[] {
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  return testRecords(count).map((record, i) => {
    if (i === 17) return { ...record, payload: Buffer.alloc(61_440 * 4 + 3, every) }
    if (i % 50 === 7) return { ...record, payload: Buffer.alloc(1 + ((i * 7919) % 9000), i % 256) }
    if (i % 50 === 8) return { ...record, payload: new Uint8Array() }
    if (i % 50 === 9)
      return { ...record, id: `Grüße/𝄞 %s \\n $(id) '${i}'`, type: 'text/плоский', payload: every }
    if (i % 50 === 10)
      return {
        ...record,
        fields: [
          ['author', 'Ωmega; "x"'],
          ['retain-until', '2030-01-01T00:00:00.000Z'],
        ],
        payload: Buffer.from('service-fs/entry/v1\nid: x\n\n'),
      }
    if (i % 50 === 12) return { ...record, fields: authorFields(AUTHOR) }
    if (i % 50 === 13)
      return {
        ...record,
        id: signatureId(`record/${i - 1}`, sha256Hex, nativeCodec),
        type: JWS_TYPE,
        fields: [[SIGNATURE_OF_FIELD, `record/${i - 1}`]],
        payload: SIGNATURE,
      }
    return record
  })
}

/** The signature is not valid, but it follows its record. */
const SIGNATURE = Buffer.from('head..value')
const AUTHOR: Author = {
  subject: 'CN=Alice Ångström',
  certificate: 'c'.repeat(64),
  chain: ['d'.repeat(64)],
  signature: sha256Hex(SIGNATURE),
  signedAt: '2026-11-22T00:00:00.000Z',
}

/** Writes a ledger with an audit sub-ledger of 20 entries. */
export async function makeBoth(dir: string, ledger: TestLedger): Promise<void> {
  await makeLedger(dir, ledger)
  await makeLedger(join(dir, 'audit'), {
    origin: `${ledger.origin ?? TEST_ORIGIN}/audit`,
    records: testRecords(20),
    ...(ledger.tail === undefined ? {} : { tail: ledger.tail }),
  })
}

/** Lets a daemon of Envelope A or B write records and reads, and returns the ledger's directory below `dir`, which must exist. */
export async function makeByDaemon(dir: string, envelope: 'a' | 'b', count: number): Promise<string> {
  const where =
    envelope === 'a'
      ? ['--root', dir]
      : ['--envelope', 'b', '--disk', join(dir, 'disk.img'), '--disk-size', '256M']
  const child = spawn(process.execPath, [
    serviceFs,
    'serve',
    ...where,
    '--module-id',
    'acme',
    '--listen',
    '127.0.0.1:0',
    '--json',
  ])
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  try {
    while (!stdout().includes('\n')) {
      if (hasExited(child)) throw new Error(`service-fs serve ended with ${child.exitCode}: ${stderr()}`)
      await sleep(5)
    }
    const { url } = JSON.parse(stdout()) as { url: string }
    const headers = { 'content-type': 'application/x-ndjson', 'x-foundry-module-id': 'acme' }
    for (let at = 0; at < count; at += 100) {
      const body = Array.from({ length: Math.min(100, count - at) }, (_, i) =>
        JSON.stringify({
          payload_id: `r${at + i}`,
          payload: at + i === 42 ? 'large '.repeat(20_000) : { number: at + i },
        }),
      ).join('\n')
      const answer = await fetch(`${url}v1/append`, { method: 'POST', headers, body })
      if (answer.status !== 200) throw new Error(`append: ${answer.status} ${await answer.text()}`)
    }
    for (let cursor = 1; cursor <= 30; cursor++)
      await (await fetch(`${url}v1/entries/${cursor}`, { headers })).text()
  } finally {
    await end(child, 'SIGTERM')
  }
  if (envelope === 'a') return join(dir, 'acme')
  mkdirSync(join(dir, 'out'))
  const tar = spawnSync('tar', ['-C', join(dir, 'out'), '-xf', join(dir, 'disk.img')], { encoding: 'utf8' })
  if (tar.status !== 0) throw new Error(`tar: ${tar.stderr}`)
  return join(dir, 'out/acme')
}

/** The text of keys/ed25519.vkey. */
export function vkeyOf(dir: string): string {
  return readFileSync(join(dir, 'keys/ed25519.vkey'), 'utf8').trim()
}
