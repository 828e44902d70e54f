import { expect, it } from 'vitest'
import { tenantLines, mergeMetrics } from './merge-metrics.ts'

const of = (tenant: string, size: number): string => `# HELP service_fs_tree_size Entries.
# TYPE service_fs_tree_size gauge
service_fs_tree_size{ledger="main",tenant="${tenant}"} ${size}
service_fs_tree_size{ledger="audit",tenant="${tenant}"} 0

# HELP process_open_fds Files.
# TYPE process_open_fds gauge
process_open_fds{tenant="${tenant}"} 20
`

it('the front groups the series of each metric under one description', () => {
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

it('the front returns the metrics of a single process unchanged', () => {
  expect(mergeMetrics([of('a', 1)])).toBe(of('a', 1))
})

it("the front keeps the well-formed lines with the tenant's label", () => {
  const text = of('a', 1)
  expect(tenantLines(text, 'a')).toBe(text.replaceAll('\n\n', '\n'))
  expect(tenantLines(text, 'b')).not.toContain('{')
  const kept = String.raw`x{le="+Inf",tenant="a",path="/\\\"\n,}"} 1.5e-7`
  const dropped = [
    'x 1',
    'x{tenant="b"} 1',
    'x{tenant="a",tenant="b"} 1',
    String.raw`x{a="z,tenant=\"a\""} 1`,
    'x{tenant="a" 1',
    'x{tenant="a"} one',
    'x{tenant="a"} 1 2',
    'x{tenant="a",} 1',
    'x{} 1',
    '0x{tenant="a"} 1',
    'x{tenant="a"} 1\r',
    '# TYPE x nonsense',
    '# EOF',
    'garbage',
  ]
  expect(tenantLines(['# TYPE x gauge', ...dropped, '# TYPE x gauge', kept].join('\n'), 'a')).toBe(
    `# TYPE x gauge\n${kept}\n`,
  )
})

it('the front rejects a long malformed line quickly', () => {
  const before = process.cpuUsage()
  expect(tenantLines(`x{${'a="b",'.repeat(150_000)}`, 'a')).toBe('')
  expect(tenantLines(`x{a="${'\\\\'.repeat(250_000)}`, 'a')).toBe('')
  // Quadratic time would be more than a minute.
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(5000)
})
