// Kills the daemon repeatedly with kill -9 while it builds a second tree under load. After each kill, and in between, the ledger verifies;
// the daemon continues the tree by itself, and binds it once.
import { join } from 'node:path'
import { problemText } from '@service-fs/client/problems'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { run } from '../support/process.ts'
import { QUICK } from '../support/quick.ts'

const KILLS = QUICK ? 3 : 12
const RECORDS = QUICK ? 4_000 : 20_000

async function append(daemon: Daemon, name: string, count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, i) =>
    JSON.stringify({ payload_id: `${name}-${i}`, payload: { text: 'x'.repeat((i * 37) % 300) } }),
  )
  const answer = await daemon.fetch('/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: records.join('\n'),
  })
  if (answer.status !== 200) throw new Error(await answer.text())
}

/** Appends until the daemon dies. */
async function load(daemon: Daemon, name: string): Promise<void> {
  try {
    for (let i = 0; ; i++) await append(daemon, `${name}-${i}`, 20)
  } catch {
    // The daemon was killed.
  }
}

/** Returns the problems that `verify` finds, and the entries that bind the tree. */
async function verified({ dir }: Daemon): Promise<{ problems: string[]; boundAt: number[] }> {
  const { problems, trees = [] } = await verifyDirectory(dir)
  return { problems: problems.map(problemText), boundAt: trees.flatMap((tree) => tree.boundAt) }
}

it(`the daemon continues a second tree after kill -9, ${KILLS} times in a row`, async () => {
  let daemon = await startDaemon()
  try {
    for (let i = 0; i < RECORDS; i += 2000) await append(daemon, `r${i}`, 2000)
    const begun = await serviceFsCommand([
      'rehash',
      '--hash',
      'sha3-256',
      '--no-wait',
      '--url',
      daemon.prefix,
    ])
    expect(begun.code, begun.stderr).toBe(0)
    for (let kill = 1; kill <= KILLS; kill++) {
      const running = load(daemon, `k${kill}`)
      await new Promise((resolve) => setTimeout(resolve, (kill * 97) % 300))
      // A check of the ledger while it is written.
      const open = kill % 2 === 0 ? await verified(daemon) : undefined
      await daemon.kill('SIGKILL')
      await running
      expect(open?.problems ?? []).toEqual([])
      expect((await verified(daemon)).problems).toEqual([])
      daemon = await daemon.restart()
    }
    const rehash = ['rehash', '--hash', 'sha3-256', '--json', '--url', daemon.prefix]
    const { code, stdout, stderr } = await serviceFsCommand(rehash)
    expect(code, stderr).toBe(0)
    const { bound } = JSON.parse(stdout) as { bound: { index: number } }
    await append(daemon, 'last', 300)
    expect(await daemon.kill()).toBe(0)
    expect(await verified(daemon)).toEqual({ problems: [], boundAt: [bound.index] })
    const said = await run('sh', [join(daemon.dir, 'verify.sh')])
    expect([said.code, said.stderr]).toEqual([
      0,
      expect.stringMatching(/^true: .*sha3-256, the second tree/m),
    ])
  } finally {
    await daemon.dispose()
  }
})
