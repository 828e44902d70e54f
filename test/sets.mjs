// Which tests `npm test` leaves to `npm run test:full`, which run alone, and which packages each folder of test/ exercises.

/**
 * Files that only the full set runs. `npm test` runs every other test file, with QUICK=1 in its environment: a test that reads
 * QUICK then makes fewer rounds, kills or sizes. Every kind of test keeps one representative in `npm test`.
 * @type {string[]}
 */
export const fullOnly = []

/** Files that compare times. They run one after the other when nothing else does. */
export const alone = [
  'test/hosted/many.test.ts',
  'test/hosted/neighbours.test.ts',
  'test/hosted/slow-clients.test.ts',
  'test/hosted/stuck-tenant.test.ts',
  'test/hosted/tenants.test.ts',
]
