/** The man page service-fs.1, in the man macros that both groff and mandoc know. */
import { flatten, type CommandNode, type OptionNode, type ValueNode } from './command-tree.ts'
import { ENVIRONMENT } from './empty-program.ts'
import { EXIT_STATUSES } from './exit-statuses.ts'

/** Returns the man page. `epoch` is the date of the page, in seconds since 1970. */
export function manPage(program: CommandNode, version: string, epoch?: string): string {
  const date = epoch === undefined ? '' : new Date(Number(epoch) * 1000).toISOString().slice(0, 10)
  const commands = flatten(program).filter(
    ({ path, commands: below }) => path.length > 0 && below.length === 0,
  )
  return [
    `.TH SERVICE\\-FS 1 "${date}" ${quote(`service-fs ${version}`)}`,
    '.SH NAME',
    'service\\-fs \\- append to, read, prove and verify a WORM ledger',
    '.SH SYNOPSIS',
    '.B service\\-fs',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    ...filled(program.description),
    '.SH OPTIONS',
    ...program.options.flatMap(optionLines),
    '.SH COMMANDS',
    ...commands.flatMap(commandLines),
    '.SH EXIT STATUS',
    ...EXIT_STATUSES.flatMap(({ status, summary }) => ['.TP', `.B ${status}`, ...filled(summary)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, meaning]) => ['.TP', `.B ${name}`, ...filled(meaning)]),
    '.SH SEE ALSO',
    ...filled('The documentation in /usr/share/doc/service-fs, and https://c2sp.org/tlog-tiles.'),
    '',
  ].join('\n')
}

function commandLines(node: CommandNode): string[] {
  const operands = node.operands.map(
    (operand) => ` ${operand.required ? placeholder(operand) : `[${placeholder(operand)}]`}`,
  )
  return [
    `.SS ${quote(`service-fs ${node.path.join(' ')}${operands.join('')}`)}`,
    ...filled(sentence(node.description)),
    ...node.options.filter(({ names }) => !names.includes('--help')).flatMap(optionLines),
    ...paragraphs(node.notes),
  ]
}

function placeholder({ name, variadic }: ValueNode): string {
  return variadic ? `${name}...` : name
}

function optionLines({ names, value, description }: OptionNode): string[] {
  const flags = names.map((name) => `\\fB${escaped(name)}\\fR`).join(', ')
  return [
    '.TP',
    `${flags}${value === undefined ? '' : ` \\fI${escaped(value.name)}\\fR`}`,
    ...filled(description),
  ]
}

/** Returns the paragraphs of a help text. An indented line starts a new line. */
function paragraphs(text: string): string[] {
  if (text === '') return []
  return text.split(/\n{2,}/).flatMap((paragraph) => {
    const [first = [], ...others] = paragraph.split(/\n(?=\s)/).map(filled)
    return ['.PP', ...first, ...others.flatMap((line) => ['.br', ...line])]
  })
}

/** Returns text in lines of at most 80 characters. */
function filled(text: string): string[] {
  const lines: string[] = []
  for (const word of text.trim().split(/\s+/)) {
    const line = lines.at(-1)
    if (line !== undefined && escaped(`${line} ${word}`).length <= 80)
      lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines.map(escaped)
}

/** Returns a description as a sentence. Descriptions in commander have no capital letter and no full stop. */
function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.;:]$/.test(whole) ? whole : `${whole}.`
}

/** Escapes one line: hyphens stay ASCII so that options can be copied, and a dot does not begin a request. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/[^\0-\x7f]/g, (character) => `\\[u${character.charCodeAt(0).toString(16).toUpperCase()}]`)
    .replace(/^([.'])/, '\\&$1')
}

function quote(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`
}
