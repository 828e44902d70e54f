// The capability audit: checks that each domain of an appliance holds exactly the rights that it needs. It reads the input of Microkit's
// tool and, independently of the input, the tool's report of its output.
//   node microkit/audit.mjs [BUILD FOLDER] [--json]
// prints what each domain holds. If a rule is broken, prints it with the domain or region, and exits with status 1.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isCapabilities, readCapabilities } from './audit/report-capabilities.mjs'
import { isInvocations, readInvocations } from './audit/report-invocations.mjs'
import { audit, compare } from './audit/rules.mjs'
import { MONITOR, readDescription } from './audit/system.mjs'

/** The file in a build folder that the tool's --capdl-json writes, if the SDK's tool has that option. */
export const SPECIFICATION = 'capdl.json'

/** @typedef {import('./audit/system.mjs').System} System */
/** @typedef {import('./audit/rules.mjs').Finding} Finding */

/** Reads the system that was built. @param {string} report @param {() => string} specification @returns {System} */
export function readBuilt(report, specification) {
  if (isInvocations(report)) return readInvocations(report)
  if (isCapabilities(report)) return readCapabilities(report, specification())
  throw new Error('expected the build report of SDK 2.0 or 2.3')
}

/** @param {System} system @returns {Finding[]} */
const findingsOf = (system) =>
  audit(system).map(({ text, ...finding }) => ({ ...finding, text: `${text} (${system.source})` }))

/** @param {string} folder of a build @returns {{ described: System, built: System, findings: Finding[] }} */
export function auditBuild(folder) {
  /** @param {string} name */
  const read = (name) => readFileSync(join(folder, name), 'utf8')
  const described = readDescription(read('system.xml'))
  const built = readBuilt(read('report.txt'), () => read(SPECIFICATION))
  const findings = [...findingsOf(described), ...findingsOf(built), ...compare(described, built)]
  return { described, built, findings }
}

/** @param {Finding[]} findings */
export const sentences = (findings) => findings.map(({ rule, where, text }) => `${rule}: ${where}: ${text}`)

/**
 * Returns what each domain holds, as a table in Markdown.
 *
 * @param {System} system
 */
export function picture({ domains, regions }) {
  const devices = new Set(
    [...regions].flatMap(([name, ranges]) => (ranges.some(({ from }) => from < 0x4000_0000) ? [name] : [])),
  )
  const rows = [...domains.values()]
    .filter(({ name }) => name !== MONITOR)
    .toSorted((a, b) => b.priority - a.priority)
    .map(({ name, priority, irqs, notifies, mappings }) => {
      const mine = mappings.filter(({ region }) => devices.has(region)).map(({ region }) => region)
      const held = [...mine, ...irqs.map((irq) => `interrupt ${irq}`)].join(', ')
      return `| ${name} | ${priority} | ${held || '–'} | ${[...new Set(notifies)].toSorted().join(', ')} |`
    })
  return ['| domain | priority | devices | channels to |', '|---|---|---|---|', ...rows]
}

/** Returns the folder of the newest build. */
function newest() {
  const root = join(import.meta.dirname, 'build')
  const folders = existsSync(root) ? readdirSync(root).map((name) => join(root, name)) : []
  const [last] = folders
    .filter((folder) => existsSync(join(folder, 'report.txt')))
    .map((folder) => ({ folder, time: statSync(join(folder, 'report.txt')).mtimeMs }))
    .sort((a, b) => b.time - a.time)
  if (last === undefined) throw new Error(`${root} has no build: run npm run appliance:image first`)
  return last.folder
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' } },
  })
  const folder = positionals[0] ?? newest()
  const { built, findings } = auditBuild(folder)
  if (values.json === true) {
    const domains = [...built.domains.values()].filter(({ name }) => name !== MONITOR)
    console.log(JSON.stringify({ folder, ok: findings.length === 0, findings, domains }, null, 2))
  } else {
    console.log([folder, '', ...picture(built), ''].join('\n'))
    console.log(findings.length === 0 ? 'Every rule holds.' : sentences(findings).join('\n'))
  }
  if (findings.length > 0) process.exitCode = 1
}

if (process.argv[1] === import.meta.filename) {
  try {
    main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 2
  }
}
