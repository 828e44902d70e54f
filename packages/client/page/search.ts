/** Searches the index of a pack. */
import type { PageRow } from '../src/examine/page-files.ts'

export interface Query {
  text: string
  type: string
  from: string
  to: string
}

/** Returns the rows that meet each condition that is not empty, in the order of the index. The search ignores case. */
export function search(rows: readonly PageRow[], query: Query): PageRow[] {
  const text = query.text.trim().toLowerCase()
  const type = query.type.trim().toLowerCase()
  const from = query.from.trim()
  const to = query.to.trim()
  return rows.filter(
    (row) =>
      // Times are texts of equal length, so a prefix such as 2026-11 compares correctly with them.
      (from === '' || row[2] >= from) &&
      (to === '' || row[2] < to) &&
      (type === '' || row[3].toLowerCase().includes(type)) &&
      (text === '' || hasText(row, text)),
  )
}

function hasText([cursor, id, , , , leafHash, sha256, file, , , author]: PageRow, text: string): boolean {
  return (
    id.toLowerCase().includes(text) ||
    String(cursor) === text ||
    sha256.includes(text) ||
    leafHash.toLowerCase() === text ||
    file.toLowerCase().includes(text) ||
    author.toLowerCase().includes(text)
  )
}
