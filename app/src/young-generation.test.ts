// The limits that app/bin/service-fs.js sets on the heap.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const program = fileURLToPath(new URL('../bin/service-fs.js', import.meta.url))

/** Before it ends, the process makes a million objects that survive, and prints the size of its young generation in MiB. */
const PROBE = `
import { getHeapSpaceStatistics } from 'node:v8'
process.on('exit', () => {
  const alive = []
  for (let i = 0; i < 100; i++) alive.push(Array.from({ length: 10_000 }, (_, j) => ({ j })))
  console.error(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20)
})`

function youngMiB(...args: string[]): number {
  const probe = `data:text/javascript,${encodeURIComponent(PROBE)}`
  const { stderr } = spawnSync(process.execPath, ['--import', probe, program, ...args], { encoding: 'utf8' })
  return Number(stderr.trim().split('\n').at(-1))
}

it('the young generation is limited to 8 MiB in serve, and grows in other commands', () => {
  expect(youngMiB('serve', '--help')).toBe(8)
  expect(youngMiB('--version')).toBeGreaterThan(8)
})
