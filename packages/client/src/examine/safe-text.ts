/** Formats text of a ledger's clients, which may be hostile, for file names, CSV, HTML and scripts. */
import { visibleLine } from '@service-fs/format/visible'

/** File name extensions by media type. A browser that opens a file with one of these extensions from disk runs no script in it. */
const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ['application/gzip', '.gz'],
  ['application/jose', '.jose'],
  ['application/json', '.json'],
  ['application/pdf', '.pdf'],
  ['application/pkcs7-signature', '.p7s'],
  ['application/x-tar', '.tar'],
  ['application/zip', '.zip'],
  ['image/gif', '.gif'],
  ['image/jpeg', '.jpg'],
  ['image/png', '.png'],
  ['image/tiff', '.tiff'],
  ['message/rfc822', '.eml'],
  ['text/csv', '.csv'],
  ['text/markdown', '.md'],
  ['text/plain', '.txt'],
  // Text that a browser would run.
  ['application/xml', '.xml.txt'],
  ['image/svg+xml', '.svg.txt'],
  ['text/css', '.css.txt'],
  ['text/html', '.html.txt'],
  ['text/javascript', '.js.txt'],
  ['text/xml', '.xml.txt'],
])

/** The maximum number of characters that a file name takes from an identifier. */
const NAME_LENGTH = 48
/** The maximum number of records in a folder. */
const FOLDER = 1000

/**
 * Returns the path of a record's file in a pack: `records/000000/000000017-invoice-17.json`. It has only ASCII letters, digits, `-`, `_`, `.` and
 * `/`. The cursor makes the path unique, even on file systems that ignore case.
 */
export function recordPath(cursor: number, id: string, type: string): string {
  const media = type.split(';')[0]!.trim().toLowerCase()
  const extension = EXTENSIONS.get(media) ?? '.bin'
  const last = extension.slice(extension.lastIndexOf('.'))
  const stem = id.toLowerCase().endsWith(last) ? id.slice(0, -last.length) : id
  const name = stem
    .replace(/[^A-Za-z0-9_]+/g, '-')
    .slice(0, NAME_LENGTH)
    .replace(/^-+|-+$/g, '')
  const folder = String(Math.floor(cursor / FOLDER)).padStart(6, '0')
  const number = String(cursor).padStart(9, '0')
  return `records/${folder}/${number}${name === '' ? '' : `-${name}`}${extension}`
}

/** Returns the paths of a record's content and of its .tlog-proof. */
export function packedFiles(record: { index: number; id: string; type: string }): {
  file: string
  proof: string
} {
  const file = recordPath(record.index + 1, record.id, record.type)
  return { file, proof: `${file}.tlog-proof` }
}

/** Characters at the start of a field that make a spreadsheet program take the field as a formula, in ASCII and full width. */
const FORMULA = /^[\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]/

/** A semicolon before a character that begins a formula: in some countries, spreadsheet programs separate columns at semicolons. */
const FORMULA_INSIDE = /;(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])/g

/**
 * Formats a line of CSV (RFC 4180). Escapes control and invisible characters, and puts an apostrophe before a field that a spreadsheet program
 * would take as a formula.
 */
export function csvLine(fields: readonly (string | number)[]): string {
  return `${fields.map(csvField).join(',')}\r\n`
}

function csvField(field: string | number): string {
  if (typeof field === 'number') return String(field)
  const visible = visibleLine(field)
  const guarded = FORMULA.test(visible) ? `'${visible}` : visible
  const text = guarded.replace(FORMULA_INSIDE, '\\u003b')
  return `"${text.replaceAll('"', '""')}"`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Formats text for the content or a quoted attribute of an HTML element. Escapes control and invisible characters. */
export function htmlText(text: string): string {
  return visibleLine(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}

/** Formats a value as JSON in ASCII without `<`, so that it is safe in a script too and in every encoding. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<\x7f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
