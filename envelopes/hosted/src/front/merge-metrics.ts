/** One text in Prometheus' exposition format (version 0.0.4) out of several. */

interface Family {
  /** `# HELP`, `# TYPE`. */
  head: string[]
  samples: string[]
}

/**
 * The series of all texts, each metric's together under the `# HELP` and `# TYPE` of the first text that has it. The texts must tell
 * their series apart by a label.
 */
export function mergeMetrics(texts: Iterable<string>): string {
  const families = new Map<string, Family>()
  for (const text of texts) {
    const seen = new Set<string>()
    let family: Family | undefined
    for (const line of text.split('\n')) {
      if (line === '') continue
      const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1]
      if (name === undefined) {
        if (!line.startsWith('#')) family?.samples.push(line)
        continue
      }
      const isNew = !families.has(name)
      family = families.get(name) ?? { head: [], samples: [] }
      if (isNew) {
        families.set(name, family)
        seen.add(name)
      }
      if (seen.has(name)) family.head.push(line)
    }
  }
  return [...families.values()].map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`).join('\n')
}
