import { defineConfig } from 'vitest/config'
import { alone, fullOnly } from './test/sets.mjs'

const left = process.env['QUICK'] === '1' ? fullOnly : []
const common = { testTimeout: 120_000, hookTimeout: 120_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'all',
          include: [
            'packages/*/src/**/*.test.ts',
            'envelopes/**/src/**/*.test.ts',
            'app/src/**/*.test.ts',
            'test/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', ...alone, ...left],
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
