/** Loads the scripts in page/: a page from disk can't fetch files. */
import type { PagePack, PageRecord, PageRow } from '../src/examine/page-files.ts'

declare global {
  interface Window {
    examinersPack(pack: PagePack): void
    examinersIndex(number: number, rows: PageRow[]): void
    examinersData(number: number, records: PageRecord[]): void
  }
}

const received = new Map<string, unknown>()
window.examinersPack = (pack) => void received.set('pack', pack)
window.examinersIndex = (number, rows) => void received.set(`index-${number}`, rows)
window.examinersData = (number, records) => void received.set(`data-${number}`, records)

/** Loads one script, and returns its data. @throws Error if the file is missing or malformed */
async function load(name: string): Promise<unknown> {
  const script = document.createElement('script')
  script.src = `page/${name}.js`
  script.charset = 'utf-8'
  try {
    await new Promise((resolve, reject) => {
      script.addEventListener('load', resolve)
      script.addEventListener('error', () => reject(new Error(`page/${name}.js: can't be read`)))
      document.head.append(script)
    })
  } finally {
    script.remove()
  }
  const value = received.get(name)
  received.delete(name)
  if (value === undefined) throw new Error(`page/${name}.js: malformed`)
  return value
}

export async function loadPack(): Promise<PagePack> {
  return (await load('pack')) as PagePack
}

export async function loadIndex(number: number): Promise<PageRow[]> {
  return (await load(`index-${number}`)) as PageRow[]
}

/** The script that was loaded last. It is kept because neighboring records share a script. */
let last: { number: number; records: Promise<PageRecord[]> } | undefined

/** Returns the record of a row. @throws Error if the pack lacks the record */
export async function loadRecord(row: PageRow): Promise<PageRecord> {
  const number = row[8]
  if (last?.number !== number) last = { number, records: load(`data-${number}`) as Promise<PageRecord[]> }
  const found = (await last.records).find(({ cursor }) => cursor === row[0])
  if (found === undefined)
    throw new Error(`page/data-${number}.js: expected the record with cursor ${row[0]}`)
  return found
}
