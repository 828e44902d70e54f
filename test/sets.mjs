// Lists the tests that only `npm run test:full` runs, the tests that run alone, and the packages that each folder of test/ exercises.

/**
 * Files that only the full set runs. `npm test` runs every other test file, with QUICK=1 in its environment: a test that reads
 * QUICK then makes fewer rounds, kills or sizes. Every kind of test keeps one representative in `npm test`.
 * @type {string[]}
 */
export const fullOnly = [
  'app/src/appliance.test.ts',
  'packages/cli/src/copy-sizes.test.ts',
  'packages/ledger/src/conformance-disks.test.ts',
  'test/appliance/appliance.test.ts',
  'test/appliance/audit.test.ts',
  'test/appliance/c.test.ts',
  'test/appliance/conformance.test.ts',
  'test/appliance/endtoend.test.ts',
  'test/appliance/hostile.test.ts',
  'test/appliance/http-cases.test.ts',
  'test/appliance/keys.test.ts',
  'test/appliance/ledger.test.ts',
  'test/appliance/net-c.test.ts',
  'test/appliance/net-frames.test.ts',
  'test/appliance/net.test.ts',
  'test/appliance/restart.test.ts',
  'test/appliance/rude.test.ts',
  'test/appliance/shortened.test.ts',
  'test/appliance/signatures.test.ts',
  'test/appliance/storage.test.ts',
  'test/cli/append-files.test.ts',
  'test/cli/author-anchors.test.ts',
  'test/cli/retention.test.ts',
  'test/cli/tree.test.ts',
  'test/cli/verify-threads.test.ts',
  'test/cli/verify-without-threads.test.ts',
  'test/copies/drill.test.ts',
  'test/copies/repair.test.ts',
  'test/crash/append-resumed.test.ts',
  'test/crash/index-damage.test.ts',
  'test/crash/index-power.test.ts',
  'test/crash/read-only.test.ts',
  'test/engine/border.test.ts',
  'test/engine/ledger.test.ts',
  'test/envelopes/engine.test.ts',
  'test/envelopes/follow.test.ts',
  'test/envelopes/json.test.ts',
  'test/envelopes/ledger.test.ts',
  'test/envelopes/tree.test.ts',
  'test/envelopes/wire-a.test.ts',
  'test/envelopes/wire-b.test.ts',
  'test/envelopes/wire-cores.test.ts',
  'test/hosted/access-host.test.ts',
  'test/hosted/access-limits.test.ts',
  'test/hosted/access-logs.test.ts',
  'test/hosted/append-reads.test.ts',
  'test/hosted/authors.test.ts',
  'test/hosted/bad-input.test.ts',
  'test/hosted/crowded.test.ts',
  'test/hosted/examine.test.ts',
  'test/hosted/follow.test.ts',
  'test/hosted/front-conformance.test.ts',
  'test/hosted/head-refusals.test.ts',
  'test/hosted/immutable.test.ts',
  'test/hosted/many.test.ts',
  'test/hosted/neighbours.test.ts',
  'test/hosted/not-ready.test.ts',
  'test/hosted/read-only.test.ts',
  'test/hosted/slow-clients.test.ts',
  'test/hosted/strangers.test.ts',
  'test/hosted/tenants.test.ts',
  'test/interop/changed.test.ts',
  'test/keys/store.test.ts',
  'test/moving/moving.test.ts',
  'test/outsiders/hostile.test.ts',
  'test/outsiders/pack-page.test.ts',
  'test/outsiders/records.test.ts',
  'test/outsiders/second-trees.test.ts',
  'test/packaging/booted.test.ts',
  'test/packaging/deb.test.ts',
  'test/psdb/tar-readers.test.ts',
  'test/readme/entries.test.ts',
  'test/readme/large.test.ts',
  'test/s3/mirror-kills.test.ts',
  'test/s3/mirror.test.ts',
  'test/s3/retention-locks.test.ts',
  'test/s3/versitygw.test.ts',
  'test/scripts/api-docs.test.ts',
  'test/scripts/dev.test.ts',
  'test/scripts/release.test.ts',
]

/** The seL4 appliance and its parts as programs of this host, which CI on GitHub runs in a job of its own. */
export const appliance = ['test/appliance/**/*.test.ts', 'test/engine/*.test.ts', 'test/keys/*.test.ts']

/** Files that compare times, or build in the checkout. They run one after the other, when no other file runs. */
export const alone = [
  ...['neighbours', 'stuck-tenant', 'tenants'].map((name) => `test/hosted/${name}.test.ts`),
  'test/scripts/prepare.test.ts',
]

/**
 * Unit tests that replace a module (`vi.mock`). Each has a process of its own: where a process runs many files, it has loaded the
 * module already.
 */
export const replacing = [
  'envelopes/hosted/src/tenant/search/search-index.test.ts',
  'packages/client/src/second-tree/broken-sha256.test.ts',
]

const bundle = ['@service-fs/bundle', 'microkit/', 'qemu/']

/**
 * The parts that each folder of spanning tests exercises: packages by name, other sources by path. After `npm test`,
 * `.ci/run` runs the remaining tests of a folder if the folder changed, or one of its parts, or a package that a part
 * depends on. A folder that is not listed always runs.
 * @type {Record<string, string[]>}
 */
export const groups = {
  'test/appliance/': [...bundle, '@service-fs/app'],
  'test/copies/': ['@service-fs/app', 'packaging/'],
  'test/crash/': ['@service-fs/app', 'microkit/psdb/'],
  'test/engine/': bundle,
  'test/hosted/': ['@service-fs/app'],
  'test/interop/': ['@service-fs/app'],
  'test/keys/': bundle,
  'test/outsiders/': ['@service-fs/app'],
  'test/packages/': ['@service-fs/client', '@service-fs/fastify', '@service-fs/storage-posix'],
  'test/packaging/': ['@service-fs/app', 'packaging/', 'docs/', 'README.md', 'SECURITY.md', 'CHANGELOG.md'],
  'test/psdb/': ['@service-fs/engine-host', 'microkit/psdb/'],
  'test/s3/': ['@service-fs/app', '@service-fs/s3'],
  'test/scripts/': ['@service-fs/client', '@service-fs/fastify', 'app/build.mjs', 'microkit/'],
}
