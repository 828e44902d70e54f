// A tree of real files, appended to the daemons of both envelopes by the ordinary client: the exports are the same bytes.

import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appendAll, type NewRecord } from '@service-fs/client/append'
import { walkFiles } from '@service-fs/cli/files'
import { Connection } from '@service-fs/client/http'
import { daemonBuilt } from '../support/daemon.ts'
import { repoRoot } from '../support/root.ts'
import { MODULE_ID } from './core.ts'
import { bundleBuilt, startEnvelope, type EnvelopeDaemon } from './daemons.ts'
import { expectSame, exportOf } from './exports.ts'
import { noPsdb } from './psdb.ts'

/** The documentation of this machine's packages, or else the packages installed by npm. */
const TREE = ['/usr/share/doc', join(repoRoot, 'node_modules/.pnpm')].find((dir) => existsSync(dir)) ?? ''
/** How many files to take. */
const MOST_FILES = 6_000
const MOST_BYTES = 48 * 2 ** 20

let base = ''
const daemons: EnvelopeDaemon[] = []

async function* records(): AsyncGenerator<NewRecord> {
  let [files, bytes] = [0, 0]
  for await (const file of walkFiles(TREE, { refused: () => undefined })) {
    const { id, type, size } = file
    if (size > MOST_BYTES / 8) continue
    files += 1
    bytes += size
    if (files > MOST_FILES || bytes > MOST_BYTES) return
    yield { id, type, payload: await file.read(MOST_BYTES) }
  }
}

const exported = (place: string, name: string): Promise<Map<string, Buffer>> =>
  exportOf(place, join(base, name))

const isReady = daemonBuilt && bundleBuilt && noPsdb === undefined

describe.skipIf(!isReady)('a tree of real files through both daemons', () => {
  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'service-fs-envelopes-tree-'))
    const a = await startEnvelope('a')
    daemons.push(a, await startEnvelope('b', a.secret))
  })
  afterAll(async () => {
    for (const daemon of daemons) await daemon.dispose()
    await rm(base, { recursive: true, force: true })
  })

  it('both append it in the same order, at the same times', async () => {
    const counts: number[] = []
    for (const daemon of daemons) {
      const connection = new Connection(daemon.url(), { moduleId: MODULE_ID })
      let count = 0
      try {
        await appendAll(connection, records(), {
          inFlight: 1,
          appended: (receipts) => {
            count += receipts.length
          },
        })
      } finally {
        await connection.close()
      }
      counts.push(count)
    }
    expect(counts[0]).toBeGreaterThan(500)
    expect(counts[1]).toBe(counts[0])
  })

  it('has the same export while the daemons run, over HTTP', async () => {
    const [a, b] = daemons.map((daemon) => daemon.url())
    const one = await exported(a ?? '', 'a-url')
    const other = await exported(b ?? '', 'b-url')
    expectSame(withoutAudit(one), withoutAudit(other))
    expect([...one.keys()].filter((path) => path.startsWith('audit/tile/')).length).toBeGreaterThan(0)
  })

  it('has the same export from the directory and from the disk image', async () => {
    for (const daemon of daemons) await daemon.stop()
    const [a, b] = daemons.map(({ place }) => place)
    const one = await exported(a ?? '', 'a')
    const other = await exported(b ?? '', 'b')
    expectSame(withoutAudit(one), withoutAudit(other))
    expectSame(withoutAudit(one), withoutAudit(await exported(join(base, 'a-url'), 'again')))
    expect(one.get('checkpoint')?.toString().split('\n')[1]).not.toBe('0')
  })
})

/** The audit sub-ledger holds random identifiers of each daemon. */
function withoutAudit(files: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  return new Map([...files].filter(([path]) => !path.startsWith('audit/')))
}
