/** The metrics of a ledger's second trees. */
import type { ShownTree } from '@service-fs/wire/shown-trees'
import { Gauge, type Registry } from '../process/prom.ts'

/** Registers the gauges of these trees. */
export function watchTrees(registry: Registry, trees: { list(): readonly ShownTree[] }): void {
  const gauge = (name: string, help: string, value: (tree: ShownTree) => number): void => {
    const shown = new Gauge({
      name,
      help,
      labelNames: ['hash'],
      registers: [registry],
      collect() {
        for (const tree of trees.list()) shown.set({ hash: tree.hash }, value(tree))
      },
    })
  }
  gauge('service_fs_second_tree_entries', 'Entries that the second tree covers.', (tree) => tree.size)
  gauge(
    'service_fs_second_tree_signed_entries',
    "Entries that the second tree's checkpoint covers.",
    (tree) => tree.signed_size,
  )
  gauge('service_fs_second_tree_bound', '1 when an entry of the log binds the second tree.', (tree) =>
    tree.bound === undefined ? 0 : 1,
  )
  gauge('service_fs_second_tree_failed', '1 while the second tree is not continued.', (tree) =>
    tree.state === 'failed' ? 1 : 0,
  )
}
