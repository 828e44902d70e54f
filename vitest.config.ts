import { defineConfig } from 'vitest/config'

/** Those that measure what a machine has left for others: one after the other, when nothing else runs. */
const quiet = ['many', 'neighbours', 'slow-clients', 'stuck-tenant', 'tenants'].map(
  (name) => `test/hosted/${name}.test.ts`,
)

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
            'envelopes/*/src/**/*.test.ts',
            'envelopes/sel4/*/src/**/*.test.ts',
            'test/**/*.test.ts',
          ],
          exclude: quiet,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...common, name: 'quiet', include: quiet, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
})
