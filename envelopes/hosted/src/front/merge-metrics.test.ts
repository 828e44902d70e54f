import { expect, it } from 'vitest'
import { mergeMetrics } from './merge-metrics.ts'

const of = (tenant: string, size: number): string => `# HELP service_fs_tree_size Entries.
# TYPE service_fs_tree_size gauge
service_fs_tree_size{ledger="main",tenant="${tenant}"} ${size}
service_fs_tree_size{ledger="audit",tenant="${tenant}"} 0

# HELP process_open_fds Files.
# TYPE process_open_fds gauge
process_open_fds{tenant="${tenant}"} 20
`

it('puts the series of each metric together, once described', () => {
  expect(mergeMetrics([of('a', 1), of('b', 2), '# HELP other x\n# TYPE other counter\nother 3\n', '']))
    .toBe(`# HELP service_fs_tree_size Entries.
# TYPE service_fs_tree_size gauge
service_fs_tree_size{ledger="main",tenant="a"} 1
service_fs_tree_size{ledger="audit",tenant="a"} 0
service_fs_tree_size{ledger="main",tenant="b"} 2
service_fs_tree_size{ledger="audit",tenant="b"} 0

# HELP process_open_fds Files.
# TYPE process_open_fds gauge
process_open_fds{tenant="a"} 20
process_open_fds{tenant="b"} 20

# HELP other x
# TYPE other counter
other 3
`)
})

it('leaves a single text as it is', () => {
  expect(mergeMetrics([of('a', 1)])).toBe(of('a', 1))
})
