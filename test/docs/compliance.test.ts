// Checks docs/compliance.md: every row names tests that exist and run, every quotation names a source, and no sentence claims a status.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'

const page = readFileSync(join(repoRoot, 'docs/compliance.md'), 'utf8')

type Row = Record<string, string>

/** The rows of all tables of a Markdown text, by the names of their columns. */
function tablesOf(text: string): Row[][] {
  const tables: Row[][] = []
  let names: string[] | undefined
  for (const line of text.split('\n')) {
    if (!line.startsWith('| ')) {
      if (!line.startsWith('|-')) names = undefined
      continue
    }
    const cells = line.split('|').slice(1, -1)
    const trimmed = cells.map((cell) => cell.trim())
    if (names === undefined) {
      names = trimmed
      tables.push([])
    } else {
      const columns = names
      expect(trimmed, line).toHaveLength(columns.length)
      tables.at(-1)?.push(Object.fromEntries(trimmed.map((cell, index) => [columns[index] ?? '', cell])))
    }
  }
  return tables
}

/** A title with each value that a template or `it.each` puts into it as `…`. */
function normalized(title: string): string {
  return title.replaceAll(/\$\{[^}]*\}|%[sdifjo]|\$\w+/g, '…')
}

/** Up to three levels of parentheses, as in the arguments of `it.each` and `it.skipIf`. */
const ARGUMENTS = String.raw`\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)`
const TEST = new RegExp(
  String.raw`^\s*(?:it|test)((?:\.\w+|${ARGUMENTS})*?)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|` +
    '`((?:[^`\\\\]|\\\\.)*)`)',
  'gm',
)
const NEVER_RUNS = /\.(?:skip|todo)\b|\.skipIf\(true\)|\.runIf\(false\)/

/** The titles of the tests of a file, and whether each may run. */
function testsOf(source: string): Map<string, boolean> {
  const skipped = /^\s*describe[^\n]*\.(?:skip|todo)\b/m.test(source)
  return new Map(
    [...source.matchAll(TEST)].map(([, chain = '', single, double, template]) => [
      normalized((single ?? double ?? template ?? '').replaceAll(/\\(.)/g, '$1')),
      !skipped && !NEVER_RUNS.test(chain),
    ]),
  )
}

/** Returns the faults of the tests that a cell names, as `` `FILE` › `NAME` `` separated by `<br>`. */
function problemsOf(cell: string): string[] {
  return cell.split('<br>').flatMap((reference) => {
    const [, file, title] = /^`([^`]+)` › `(.+)`$/.exec(reference.trim()) ?? []
    if (file === undefined || title === undefined) return [`not a test: ${reference}`]
    if (!/^(?:app\/src|packages\/[^/]+\/src|envelopes\/.+\/src|test)\/.*\.test\.ts$/.test(file))
      return [`no file of a test set: ${file}`]
    if (!existsSync(join(repoRoot, file))) return [`no such file: ${file}`]
    const runs = testsOf(readFileSync(join(repoRoot, file), 'utf8')).get(title)
    if (runs === undefined) return [`no such test in ${file}: ${title}`]
    return runs ? [] : [`always skipped in ${file}: ${title}`]
  })
}

/** The sentences of a text, without quotations of rules and without code. */
function sentencesOf(text: string): string[] {
  return text
    .replaceAll(/“[^”]*”|`[^`]*`/g, 'Q')
    .replaceAll(/\s*\n(?!\n|[|#-])/g, ' ')
    .split(/[.:;?!|](?:\s|$)|\n/)
    .map((sentence) => sentence.trim())
}

/** Sentences that say that something has a status which only an assessor or a supervisory body can give. */
function claimsOf(text: string): string[] {
  const status = String.raw`(?:compliant|conformant|certified|qualified|accredited|approved|attested)\b`
  const claim = new RegExp(
    [
      String.raw`\b(?:is|are|be|been|being|becomes?|makes? \w+|fully|service-fs)\s+(?:\w+\s+)?${status}`,
      String.raw`\b(?:compl(?:y|ies)|conforms?)\s+with\b`,
      String.raw`\b(?:satisf(?:y|ies)|meets?|fulfils?)\s+(?:the|all|every|this|these)\s+(?:rule|clause|requirement)`,
      String.raw`\bguarantees?\b|-compliant\b`,
    ].join('|'),
    'i',
  )
  return sentencesOf(text).filter((sentence) => claim.test(sentence))
}

/** Each clause has a row. */
const CLAUSES =
  '(f)(2)(i)(A) (f)(2)(i)(B) (f)(2)(ii) (f)(2)(iii) (f)(2)(iv) (f)(2)(v) (f)(3)(i) (f)(3)(iii) (f)(3)(iv) (f)(3)(v) ' +
  '4511(a) 4511(b) 4511(c) 1.31(a) 1.31(b) 1.31(c)(1) 1.31(c)(2) 1.31(d) 45j(1)(b) 45j(1)(c) 45j(1)(d) ' +
  '45l(1)(b) 45l(1)(c) 45l(1)(d) REQ-7.5-03 REQ-7.5-04 REQ-7.5-05 REQ-7.5-06 OVR-7.14 OVR-7.15 OVR-7.16 ' +
  'PI1.1 PI1.2 PI1.3 PI1.4 PI1.5'

const tables = tablesOf(page)
const rows = tables.flat().filter((row) => 'Shown by' in row)
const first = (row: Row): string => Object.values(row)[0] ?? ''

describe('docs/compliance.md', () => {
  it('has rows for every rule', () => {
    const clauses = rows.map(first).join('\n')
    for (const clause of CLAUSES.split(' ')) expect(clauses).toContain(clause)
  })

  it.each(rows.map((row) => [first(row), row['Shown by'] ?? '']))('names tests that run: %s', (_, cell) => {
    expect(problemsOf(cell)).toEqual([])
  })

  it('says in every row of a rule what remains', () => {
    const ofRules = rows.filter((row) => 'what remains' in row)
    expect(ofRules.length).toBeGreaterThan(40)
    for (const row of ofRules) expect(row['what remains'], first(row)).toMatch(/\w/)
  })

  it('names, for every quotation, a source that was read', () => {
    const sources = tables.flat().flatMap((row) => ('extent' in row ? [first(row)] : []))
    expect(sources.length).toBeGreaterThan(0)
    for (const [line] of page.matchAll(/^.*(?:\n(?![\n|#-]).*)*/gm)) {
      const named = [...line.matchAll(/\[([A-Z]\d)\]/g)].map((match) => match[1] ?? '')
      for (const name of named) expect(sources, line).toContain(name)
      // A quotation's source follows it, before the next row or paragraph.
      const last = line.lastIndexOf('”')
      if (last > line.indexOf('“') + 2) expect(line.slice(last), line).toMatch(/\[[A-Z]\d\]/)
    }
  })

  it('claims no status', () => {
    expect(claimsOf(page)).toEqual([])
  })

  it('dates the algorithms', () => {
    expect(page).toMatch(/^As of \d{4}-\d\d-\d\d, a ledger rests on/m)
    const algorithms = tables.flat().flatMap((row) => ('algorithm' in row ? [first(row)] : []))
    for (const name of ['SHA-256', 'Ed25519', 'ML-DSA-44'])
      expect(algorithms.join('\n'), name).toContain(name)
  })
})

describe('the checks of this file', () => {
  it('find a wrong file, a wrong name, a prefix of a name, and a missing name', () => {
    const right = '`test/docs/compliance.test.ts` › `claims no status`'
    expect(problemsOf(right)).toEqual([])
    expect(problemsOf(`${right} <br> ${right.replace('status', 'rank')}`)).toHaveLength(1)
    expect(problemsOf(right.replace(' status', ''))).toHaveLength(1)
    expect(problemsOf(right.replace('docs/', 'doc/'))).toHaveLength(1)
    expect(problemsOf('`test/docs/compliance.test.ts`')).toHaveLength(1)
    expect(problemsOf('none')).toHaveLength(1)
    expect(problemsOf('')).toHaveLength(1)
  })

  it('read titles of all forms, and find tests that never run', () => {
    const source = [
      "it('plain', () => {",
      '  it.each([1, (2)])(',
      '    `of ${kind}: %s`,',
      "it.skipIf(has(tool()))('conditional', () => {",
      "test.skip('left out', () => {",
      "it.todo('planned')",
      'it.runIf(false)("never", () => {',
      String.raw`it('an author\'s', () => {`,
      "expect(it('not a test'))",
    ].join('\n')
    expect(Object.fromEntries(testsOf(source))).toEqual({
      plain: true,
      'of …: …': true,
      conditional: true,
      'left out': false,
      planned: false,
      never: false,
      "an author's": true,
    })
    expect([...testsOf(`describe.skip('all', () => {\n${source}`).values()]).not.toContain(true)
  })

  it.each([
    'service-fs is compliant with the rule.',
    'The ledger is fully compliant.',
    'It is certified.',
    'A service-fs ledger is a qualified ledger.',
    'A firm that uses it complies with Rule 17a-4.',
    'It meets the requirements of the clause.',
    'This makes ledgers qualified.',
    'SEC-compliant storage',
  ])('find the claim: %s', (claim) => {
    expect(claimsOf(`The page is short. ${claim}`)).toHaveLength(1)
    expect(claimsOf(`The page is short.\n${claim}\n\nIt ends.`)).toHaveLength(1)
  })

  it('leave quotations and denials of a claim alone', () => {
    expect(claimsOf('A device is “certified to EAL 4”. No assessor has examined it.')).toEqual([])
    expect(claimsOf('An ordinary service, and a qualified service, are two things.')).toEqual([])
  })
})
