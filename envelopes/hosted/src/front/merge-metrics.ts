/** Merges texts in the Prometheus exposition format (version 0.0.4). */

interface Family {
  /** `# HELP`, `# TYPE`. */
  head: string[]
  samples: string[]
}

/**
 * Returns the series of all texts, grouped by metric under the `# HELP` and `# TYPE` of the first text that has the
 * metric. One label must have a different value in each text, so that no two texts have the same series.
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

const LABEL = String.raw`[a-zA-Z_]\w*="(?:[^"\\]|\\[\\"n])*"`
const SAMPLE = new RegExp(
  String.raw`^[a-zA-Z_:][\w:]*\{(${LABEL}(?:,${LABEL})*)\} (?:[-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)|Nan|NaN)$`,
)
const HEAD = /^# (HELP [a-zA-Z_:][\w:]* |TYPE [a-zA-Z_:][\w:]* (?:counter|gauge|histogram|summary|untyped)$)/
const TENANT = /(?:^|,)tenant="([^"]*)"/g

/**
 * Returns the well-formed lines of a tenant's text that have the tenant's label. A malformed line would fail the whole scrape.
 */
export function tenantLines(text: string, tenant: string): string {
  const heads = new Set<string>()
  const lines = text.split('\n').filter((line) => {
    const head = HEAD.exec(line)?.[1]
    if (head === undefined) return isOf(line, tenant)
    const isFirst = !heads.has(head)
    heads.add(head)
    return isFirst
  })
  return lines.map((line) => `${line}\n`).join('')
}

function isOf(line: string, tenant: string): boolean {
  const labels = SAMPLE.exec(line)?.[1]
  if (labels === undefined) return false
  const named = [...labels.matchAll(TENANT)]
  return named.length === 1 && named[0]?.[1] === tenant
}
