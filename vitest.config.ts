import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/sequencer.mjs'
import { alone, appliance, fullOnly, replacing } from './test/sets.mjs'

const left = process.env['QUICK'] === '1' ? fullOnly : []
/**
 * These limits only end a run that hangs. A test, a hook or `expect.poll` waits for an event, however slow or busy the machine is; a
 * lower limit would be one on the machine.
 */
const expectations = { poll: { timeout: 300_000 } }
const common = {
  testTimeout: 600_000,
  hookTimeout: 600_000,
  pool: 'forks',
  setupFiles: join(import.meta.dirname, 'test/support/seeded.ts'),
  expect: expectations,
} as const
/** Two cores are busy with three files at a time: a test often waits for another process, or for a timeout. */
const together = { maxWorkers: 3, sequence: { groupOrder: 1 } }

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    coverage: {
      include: ['app/src/**/*.ts', 'packages/*/src/**/*.ts', 'envelopes/**/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/testing*.ts', '**/testing/**'],
      reporter: ['text-summary', 'text', 'html'],
    },
    projects: [
      {
        test: {
          ...common,
          ...together,
          name: 'unit',
          include: ['app/src/**/*.test.ts', 'envelopes/**/src/**/*.test.ts', 'packages/*/src/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...replacing, ...left],
          // One process runs many files, and loads the sources once.
          isolate: false,
        },
      },
      {
        test: { ...common, ...together, name: 'replacing', include: replacing, exclude: left },
      },
      {
        test: {
          ...common,
          ...together,
          name: 'spanning',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...alone, ...appliance, ...left],
        },
      },
      {
        test: { ...common, ...together, name: 'appliance', include: appliance, exclude: left },
      },
      {
        test: {
          ...common,
          name: 'alone',
          include: alone,
          exclude: left,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
