// The heap that app/bin/service-fs.js allows.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const program = fileURLToPath(new URL('../bin/service-fs.js', import.meta.url))

/** At its end, the process makes a million objects that survive, and prints the MiB of its young generation. */
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

it('has a young generation of 8 MiB in serve, and one that grows in other commands', () => {
  expect(youngMiB('serve', '--help')).toBe(8)
  expect(youngMiB('--version')).toBeGreaterThan(8)
})
