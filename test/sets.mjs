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

const appliance = ['@service-fs/bundle', 'microkit/', 'qemu/']

/**
 * What each folder of spanning tests exercises: packages by name, other sources by path. After `npm test`, `.ci/run` runs what
 * is left of a folder when the folder changed, or one of these, or a package that one of these depends on. A folder that is not
 * listed always runs.
 * @type {Record<string, string[]>}
 */
export const groups = {
  'test/appliance/': [...appliance, '@service-fs/hosted'],
  'test/crash/': ['@service-fs/hosted', 'microkit/psdb/'],
  'test/engine/': appliance,
  'test/hosted/': ['@service-fs/hosted'],
  'test/interop/': ['@service-fs/hosted'],
  'test/keys/': appliance,
  'test/packaging/': [
    '@service-fs/hosted',
    'packaging/',
    'docs/',
    'README.md',
    'SECURITY.md',
    'CHANGELOG.md',
  ],
  'test/psdb/': ['@service-fs/engine-host', 'microkit/psdb/'],
}
