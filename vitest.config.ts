import { defineConfig } from 'vitest/config'
import { alone, appliance, fullOnly } from './test/sets.mjs'

const left = process.env['QUICK'] === '1' ? fullOnly : []
const common = { testTimeout: 120_000, hookTimeout: 120_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    coverage: {
      include: ['app/src/**/*.ts', 'packages/*/src/**/*.ts', 'envelopes/**/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/testing*.ts', '**/testing/**'],
      reporter: ['text-summary', 'text', 'html'],
    },
    projects: [
      {
        test: {
          ...common,
          name: 'all',
          include: [
            'app/src/**/*.test.ts',
            'envelopes/**/src/**/*.test.ts',
            'packages/*/src/**/*.test.ts',
            'test/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', ...alone, ...appliance, ...left],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'appliance',
          include: appliance,
          exclude: left,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
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
