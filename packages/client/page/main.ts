/** The script of a pack's index.html: searches the records, shows them, and checks their proofs. It adds data to the page only as text. */
import { messageOf } from '@service-fs/format/errors'
import { visibleLine } from '@service-fs/format/visible'
import { nativeCodec } from '@service-fs/native/native'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import type { PagePack, PageRow } from '../src/examine/page-files.ts'
import { checkRecord, openCheckpoint } from './check.ts'
import { loadIndex, loadPack, loadRecord } from './data.ts'
import { preview } from './preview.ts'
import { search } from './search.ts'

const ROWS = 25

let pack: PagePack
/** The checkpoint, if its signature verified. */
let checkpoint: Checkpoint | undefined
const rows: PageRow[] = []
let found: readonly PageRow[] = []
let first = 0
/** The row that is shown. Late results for another row are dropped. */
let shown: PageRow | undefined
let checking = false

function element(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement
}

const buttonOf = (id: string): HTMLButtonElement => element(id) as HTMLButtonElement

const inputOf = (id: string): string => (element(id) as HTMLInputElement).value

/** Makes an element with text. The text comes from the ledger, so it must never be parsed as HTML. */
function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text: string,
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  made.textContent = visibleLine(text)
  made.append(...children)
  return made
}

function say(id: string, text: string): void {
  element(id).textContent = visibleLine(text)
}

/** Runs the handler of an event, and shows its error. */
function run(where: string, work: () => Promise<void>): void {
  work().catch((error: unknown) => say(where, messageOf(error)))
}

function on(id: string, event: string, where: string, work: () => Promise<void>): void {
  element(id).addEventListener(event, (happened) => {
    happened.preventDefault()
    run(where, work)
  })
}

function useKey(vkey: string | undefined): void {
  try {
    checkpoint = openCheckpoint(pack, vkey)
    say(
      'key-result',
      `The signature on the checkpoint of ${checkpoint.size} entries verifies with ${vkey === undefined ? 'the key in the pack' : 'the key that you gave'}.`,
    )
  } catch (error) {
    checkpoint = undefined
    say('key-result', `FALSE: the signature on the checkpoint does not verify: ${messageOf(error)}`)
  }
}

function showKeys(): void {
  say(
    'key-about',
    pack.pinned
      ? 'The maker of the pack named the key of the ledger. Compare it with the key that the ledger’s owner published:'
      : 'The ledger itself gave its key. Compare it with the key that its owner published:',
  )
  for (const vkey of pack.keys) element('keys').append(make('p', '', make('code', vkey)))
}

function showFound(): void {
  const page = found.slice(first, first + ROWS)
  const range = found.length > ROWS ? ` Showing ${first + 1} to ${first + page.length}.` : ''
  say(
    'count',
    `${found.length} ${found.length === 1 ? 'record' : 'records'} found of ${rows.length}.${range}`,
  )
  element('pages').hidden = found.length <= ROWS
  buttonOf('previous').disabled = first === 0
  buttonOf('next').disabled = first + ROWS >= found.length
  element('found').replaceChildren(...(page.length === 0 ? [] : [tableOf(page)]))
}

function tableOf(page: readonly PageRow[]): HTMLTableElement {
  const heads = ['Cursor', 'Identifier', 'Media type', 'Deposited', 'Bytes'].map((name) => {
    const head = make('th', name)
    head.scope = 'col'
    return head
  })
  const body = page.map((row) => {
    const [cursor, id, time, type, size] = row
    const button = make('button', id)
    button.type = 'button'
    button.addEventListener('click', () => run('details', () => showRecord(row)))
    return make(
      'tr',
      '',
      make('td', String(cursor)),
      make('td', '', button),
      make('td', type),
      make('td', time),
      make('td', String(size)),
    )
  })
  return make(
    'table',
    '',
    make('caption', 'Records found. The button with the identifier shows the record.'),
    make('thead', '', make('tr', '', ...heads)),
    make('tbody', '', ...body),
  )
}

async function showRecord(row: PageRow): Promise<void> {
  shown = row
  const [cursor, id, time, type, size, leafHash, sha256, file, , kept, author] = row
  const result = make('p', 'Checking…')
  result.className = 'result'
  result.id = 'record-result'
  result.setAttribute('role', 'status')
  const link = make('a', file)
  link.href = file
  const facts: [string, Node][] = [
    ['Identifier', make('span', id)],
    ['Media type', make('span', type)],
    ['Deposited', make('span', time)],
    ['Must be kept', make('span', kept === '' ? 'No duty was stated' : kept)],
    ['Author', make('span', author === '' ? 'Not signed' : author)],
    ['Size', make('span', `${size} bytes`)],
    ['Cursor', make('span', String(cursor))],
    ['Leaf hash', make('code', leafHash)],
    ['SHA-256', make('code', sha256)],
    ['File', link],
    ['Proof', make('code', `${file}.tlog-proof`)],
  ]
  const list = document.createElement('dl')
  for (const [name, value] of facts) list.append(make('dt', name), make('dd', '', value))
  const content = document.createElement('div')
  element('details').replaceChildren(result, list, content)
  element('record').hidden = false
  element('record-heading').focus()
  const record = await loadRecord(row)
  if (shown !== row) return
  if (record.content === undefined) askForFile(row, result, content)
  else showContent(row, nativeCodec.base64Decode(record.content), result, content)
}

/** Checks the content of a record, and shows it with the result. */
function showContent(row: PageRow, bytes: Uint8Array, result: HTMLElement, place: HTMLElement): void {
  run('record-result', async () => {
    result.textContent = visibleLine(await verdict(row, bytes))
    const { caption, text } = preview(bytes)
    const pre = document.createElement('pre')
    pre.textContent = text
    pre.tabIndex = 0
    pre.setAttribute('role', 'region')
    pre.setAttribute('aria-label', caption)
    place.querySelectorAll('.preview').forEach((old) => old.remove())
    const box = make('div', '', make('h3', caption), pre)
    box.className = 'preview'
    place.append(box)
  })
}

async function verdict(row: PageRow, bytes: Uint8Array): Promise<string> {
  if (checkpoint === undefined) return 'FALSE: the signature on the checkpoint does not verify.'
  try {
    const { time } = checkRecord(pack, checkpoint, row, await loadRecord(row), bytes)
    return `True: unchanged since its deposit at ${time}. The proof leads to the signed checkpoint of ${checkpoint.size} entries.`
  } catch (error) {
    return `FALSE: ${messageOf(error)}`
  }
}

/** The page does not contain the content of a large record, so its reader has to choose the file. */
function askForFile(row: PageRow, result: HTMLElement, place: HTMLElement): void {
  result.textContent = 'Not checked yet: choose the file of this record below.'
  const input = document.createElement('input')
  input.type = 'file'
  input.id = 'content-file'
  const label = make('label', `The content is too large for this page. Choose ${row[7]} to check it`)
  label.htmlFor = input.id
  input.addEventListener('change', () => {
    const file = input.files?.[0]
    if (file !== undefined)
      run('record-result', async () =>
        showContent(row, new Uint8Array(await file.arrayBuffer()), result, place),
      )
  })
  place.append(label, input)
}

/** Checks the proofs of all records found, one after the other, until it is stopped. */
async function checkAll(): Promise<void> {
  if (checking) return
  checking = true
  element('stop').hidden = false
  const all = found
  const used = checkpoint
  let isTrue = 0
  let large = 0
  const bad: string[] = []
  let pause = performance.now()
  try {
    for (const row of all) {
      if (!checking) break
      const outcome = await checkOne(row)
      if (outcome === 'true') isTrue += 1
      else if (outcome === 'large') large += 1
      else bad.push(`${row[0]}: ${outcome}`)
      if (performance.now() - pause < 200) continue
      say('all-result', `Checked ${isTrue + large + bad.length} of ${all.length}…`)
      await new Promise((resolve) => setTimeout(resolve))
      pause = performance.now()
    }
  } finally {
    checking = false
    element('stop').hidden = true
  }
  if (checkpoint !== used) {
    say('all-result', 'Stopped, because the page now uses another key.')
    return
  }
  const rest = all.length - isTrue - large - bad.length
  const parts = [
    `${isTrue} true`,
    `${bad.length} FALSE`,
    ...(large === 0 ? [] : [`${large} too large for this page: check them one by one`]),
    ...(rest === 0 ? [] : [`${rest} not checked`]),
  ]
  const which = bad.length === 0 ? '' : ` Cursors: ${bad.slice(0, 20).join('; ')}`
  say('all-result', `Result for ${all.length} records: ${parts.join(', ')}.${which}`)
}

async function checkOne(row: PageRow): Promise<string> {
  try {
    const record = await loadRecord(row)
    if (record.content === undefined) return 'large'
    if (checkpoint === undefined) return 'the signature on the checkpoint does not verify'
    checkRecord(pack, checkpoint, row, record, nativeCodec.base64Decode(record.content))
    return 'true'
  } catch (error) {
    return messageOf(error)
  }
}

async function start(): Promise<void> {
  say('count', 'Loading the index…')
  pack = await loadPack()
  say('origin', pack.origin)
  const recorded =
    pack.recorded === undefined
      ? ''
      : ` Entry ${pack.recorded} of the audit sub-ledger records this; its proof is in audit/.`
  say(
    'about',
    `${pack.records} ${pack.records === 1 ? 'record' : 'records'}, packed at ${pack.made}.${recorded}`,
  )
  showKeys()
  useKey(undefined)
  for (let number = 1; number <= pack.indexes; number++) {
    for (const row of await loadIndex(number)) rows.push(row)
  }
  found = rows
  showFound()
  document.body.dataset['ready'] = 'true'
}

on('search', 'submit', 'count', async () => {
  found = search(rows, {
    text: inputOf('text'),
    type: inputOf('type'),
    from: inputOf('from'),
    to: inputOf('to'),
  })
  first = 0
  showFound()
})
on('previous', 'click', 'count', async () => {
  first = Math.max(0, first - ROWS)
  showFound()
})
on('next', 'click', 'count', async () => {
  first += ROWS
  showFound()
})
on('check-all', 'click', 'all-result', checkAll)
on('stop', 'click', 'all-result', async () => {
  checking = false
})
on('key', 'submit', 'key-result', async () => {
  const given = inputOf('trusted').trim()
  // Drop the results for the previous key.
  checking = false
  shown = undefined
  element('record').hidden = true
  say('all-result', '')
  useKey(given === '' ? undefined : given)
})
run('count', start)
