// Tests the appliance on the real kernel over HTTP: it passes the wire protocol's conformance suite, and for the same history the
// export of its disk is byte-identical to Envelope A's.
import { rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nativeCrypto } from '@service-fs/native/native'
import { formatSignerKey } from '@service-fs/tlog/keys'
import { wireConformance } from '@service-fs/wire/conformance'
import type { WireAnswer, WireSubject } from '@service-fs/wire/conformance-tools'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from '../../microkit/build.mjs'
import { exportOf, expectSame } from '../envelopes/exports.ts'
import { daemonBuilt, serviceFsCommand } from '../support/daemon.ts'
import { Bench, needs, runs } from './machine.ts'
import { drive, entriesOf, Replay } from './replay.ts'
import { steps } from './steps.ts'
import { Machine } from './subject.ts'

const BUILD_MS = 600_000
const WAIT = 900_000
const MiB = 1024 * 1024
const ORIGIN = 'service-fs.local/ledger/acme'
const WIRE_HEADERS = ['content-type', 'x-audit-index', 'x-next-cursor', 'x-foundry-request-id', 'allow']

describe.skipIf(!runs)(`the appliance ${needs}`, { timeout: WAIT }, () => {
  const bench = new Bench()
  let image: string
  beforeAll(() => {
    image = build().image
  }, BUILD_MS)
  afterAll(() => bench.end())

  /** Boots on two empty disks. */
  async function open(): Promise<WireSubject> {
    const [disk, keys] = [bench.disk(512 * MiB), bench.disk(MiB)]
    const { request, reopen, off } = await Machine.boot(bench, image, disk, keys)
    const dispose = async (): Promise<void> => {
      await off('kill')
      for (const file of [disk, keys]) rmSync(file)
    }
    return { request, reopen, dispose }
  }

  wireConformance({ name: 'the appliance', test: { describe, it, expect }, open, crypto: nativeCrypto })

  it.skipIf(!daemonBuilt)('has the same export as Envelope A for the same history', async () => {
    const secret = join(bench.folder, 'secret')
    const texts = await writeKeys(secret)
    const keys = join(bench.folder, 'keys.img')
    const provision = ['provision', '--module-id', 'acme', '--from-secret', secret, '--key-disk', keys]
    expect(await serviceFsCommand(provision)).toMatchObject({ code: 0 })
    const disk = bench.disk(256 * MiB)

    const machine = await Machine.boot(bench, image, disk, keys)
    const answered = await drive(machine, steps)
    await machine.off('kill')
    const one = await exportOf(disk, join(bench.folder, 'appliance'))
    expect(entriesOf(one, '').length).toBeGreaterThan(512)
    expect(entriesOf(one, 'audit/').length).toBeGreaterThan(512)

    const replay = await Replay.open(texts, one, answered)
    try {
      for (const question of answered) {
        const again = await replay.ask(question)
        expect(told(again, question.among), question.ask.target).toEqual(
          told(question.answer, question.among),
        )
      }
      await replay.close()
      expectSame(one, await exportOf(replay.directory, join(bench.folder, 'envelope-a')))
    } finally {
      await replay.dispose()
    }
  })
})

function privateKey(name: string, seed: number): string {
  return formatSignerKey({ name, type: 1, seed: new Uint8Array(32).fill(seed) }, nativeCrypto)
}

/** The files of a daemon's private keys. */
async function writeKeys(folder: string): Promise<{ main: string; audit: string }> {
  const [main, audit] = [privateKey(ORIGIN, 7), privateKey(`${ORIGIN}/audit`, 8)]
  await mkdir(folder, { mode: 0o700 })
  await writeFile(join(folder, 'ed25519.key'), `${main}\n`, { mode: 0o600 })
  await writeFile(join(folder, 'audit-ed25519.key'), `${audit}\n`, { mode: 0o600 })
  return { main, audit }
}

/** The parts of an answer that do not depend on which concurrent requests shared a commit. */
function told({ status, headers, body }: WireAnswer, among: boolean): unknown {
  const text = Buffer.from(body).toString()
  const sure = among ? text.replace(/"duplicate":\w+,"checkpoint":"[^"]*"/, '') : text
  return [status, WIRE_HEADERS.map((name) => headers[name]), sure]
}
