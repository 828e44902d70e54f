// The page of an examiner's pack in Debian's Chromium, opened from disk, without a network, by keyboard only.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeLedger, testRecords, testSigner } from '@service-fs/client/testing'
import { JWS_TYPE } from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeAuthor } from '../../packages/author/src/testing.ts'
import { signedPair } from '@service-fs/cli/testing-signed'
import { ChromiumPage, hasChromium } from '../support/chromium.ts'
import { serviceFs, serviceFsCommand } from '../support/daemon.ts'
import { run } from '../support/process.ts'

/** Bytes that a process may take to make a pack. */
const MEMORY = 256 << 20
const LARGE = 100_000
/** A module that prints the peak memory of the process in KiB. */
const PRINT_MEMORY = "process.on('exit', () => process.stderr.write(String(process.resourceUsage().maxRSS)))"
const HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'

let work = ''
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-pack-'))
})
// There are 200,000 files to remove.
afterAll(() => spawnSync('rm', ['-rf', work]), 600_000)

function records(): RecordContent[] {
  const all = testRecords(300)
  Object.assign(all[30]!, { id: HOSTILE, type: 'text/html', payload: Buffer.from(HOSTILE) })
  Object.assign(all[40]!, { id: 'scan', type: 'image/png', payload: Buffer.from([0x89, 0x50, 0, 1, 2]) })
  Object.assign(all[50]!, {
    id: 'letter',
    payload: Buffer.alloc(200_000, 'large '),
    fields: [['retain-until', '2033-01-01T00:00:00.000Z']],
  })
  Object.assign(all[60]!, { id: 'film', type: 'video/mp4', payload: Buffer.alloc((1 << 20) + 1, 7) })
  return all
}

async function makePack(ledger: string, ...options: string[]): Promise<string> {
  const pack = `${ledger}-pack`
  const { code, stderr } = await serviceFsCommand(['examine', ledger, '-o', pack, ...options])
  expect([code, stderr]).toEqual([0, ''])
  return pack
}

/** Opens a pack's page, and closes it after its use. Every request must be of a file in the pack. */
async function withPage(pack: string, use: (page: ChromiumPage) => Promise<void>): Promise<void> {
  const page = await ChromiumPage.open()
  try {
    await page.goto(pathToFileURL(join(pack, 'index.html')).href)
    await page.until('document.body?.dataset.ready')
    await use(page)
    const below = pathToFileURL(pack).href
    expect(page.requests.length).toBeGreaterThan(2)
    expect(page.requests.filter((url) => !url.startsWith(`${below}/`))).toEqual([])
    expect(page.messages).toEqual([])
  } finally {
    await page.close()
  }
}

/** Presses Tab until the element with this id, or a button with this text, has the focus. */
async function tabTo(page: ChromiumPage, wanted: string): Promise<void> {
  for (let i = 0; i < 80; i++) {
    await page.press('Tab')
    const at = await page.evaluate(
      '[document.activeElement.id, document.activeElement.textContent].map(String)',
    )
    if (at.includes(wanted)) return
  }
  throw new Error(`${wanted}: not reached by the keyboard`)
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

const textOf = (id: string): string => `document.getElementById(${JSON.stringify(id)})?.textContent`

/** Searches and opens the record, by keyboard only: reaching an input by Tab selects its text. Returns the result of its check. */
async function openRecord(page: ChromiumPage, id: string): Promise<string> {
  await tabTo(page, 'text')
  await page.type(id)
  await page.press('Enter')
  await page.until(`/^[0-9]+ records? found/.test(${textOf('count')})`)
  await tabTo(page, id)
  await page.press('Enter')
  return page.until(`/^(?:True|FALSE|Not)/.test(${textOf('record-result')}) && ${textOf('record-result')}`)
}

describe.skipIf(!hasChromium)(`the page of a pack${hasChromium ? '' : ' (skipped: no chromium)'}`, () => {
  let pack = ''
  beforeAll(async () => {
    const ledger = join(work, 'ledger')
    await makeLedger(ledger, { records: records() })
    pack = await makePack(ledger, '--vkey', testSigner().vkey)
  })

  it('searches, shows and proves records by keyboard', async () => {
    await withPage(pack, async (page) => {
      expect(await page.evaluate(textOf('origin'))).toBe('example.org/ledger/test')
      expect(await page.evaluate(textOf('count'))).toBe('300 records found of 300. Showing 1 to 25.')
      for (const [id, shown] of [
        ['record/117', 'content of 117'],
        ['scan', '000000  89 50 00 01 02'],
        ['letter', 'large large'],
      ] as const) {
        expect(await openRecord(page, id)).toMatch(/^True: unchanged since its deposit at 2026-11-22T00:0/)
        expect(await page.evaluate('document.activeElement.id')).toBe('record-heading')
        expect(await page.evaluate('document.querySelector("#details pre").textContent')).toContain(shown)
        const facts = await page.evaluate('document.querySelector("#details dl").textContent')
        expect(facts).toContain(id === 'letter' ? 'until 2033-01-01T00:00:00.000Z (retain-until)' : 'No duty')
      }
      expect(await openRecord(page, 'film')).toBe('Not checked yet: choose the file of this record below.')
      await tabTo(page, 'content-file')
      const result = `/^(?:True|FALSE)/.test(${textOf('record-result')}) && ${textOf('record-result')}`
      const film = await page.evaluate('document.querySelector("#details a").getAttribute("href")')
      await page.chooseFile('content-file', join(pack, film))
      expect(await page.until(result)).toMatch(
        /^True: unchanged since its deposit at 2026-11-22T00:01:00.000Z/,
      )
      await page.chooseFile('content-file', join(pack, 'README.txt'))
      await page.until(`!/^True/.test(${textOf('record-result')})`)
      expect(await page.until(result)).toMatch(/^FALSE: the ledger signed another record: expected root /)
    })
  })

  it('shows hostile text as text', async () => {
    await withPage(pack, async (page) => {
      expect(await openRecord(page, HOSTILE)).toMatch(/^True/)
      expect(await page.evaluate('document.querySelector("#details pre").textContent')).toBe(HOSTILE)
      expect(await page.evaluate('document.title')).toBe('Records of a ledger')
      expect(await page.evaluate('document.querySelectorAll("img").length')).toBe(0)
      expect(await page.evaluate('document.querySelector("#details a").getAttribute("href")')).toMatch(
        /^records\/000000\/000000031-[\w-]+\.html\.txt$/,
      )
    })
  })

  it('checks every record, and the signature with a key that the reader enters', async () => {
    await withPage(pack, async (page) => {
      await tabTo(page, 'check-all')
      await page.press('Space')
      expect(await page.until(`/^Result/.test(${textOf('all-result')}) && ${textOf('all-result')}`)).toBe(
        'Result for 300 records: 299 true, 0 FALSE, 1 too large for this page: check them one by one.',
      )
      await tabTo(page, 'trusted')
      await page.type(testSigner(undefined, 9).vkey)
      await page.press('Enter')
      expect(await page.until(`/FALSE/.test(${textOf('key-result')}) && ${textOf('key-result')}`)).toMatch(
        /^FALSE: the signature on the checkpoint does not verify/,
      )
      expect(await page.evaluate(textOf('all-result'))).toBe('')
      expect(await openRecord(page, 'record/5')).toMatch(/^FALSE: the signature/)
    })
  })

  it('has a label for each control, a language, and one main heading', async () => {
    await withPage(pack, async (page) => {
      await openRecord(page, 'film')
      const unnamed = `[...document.querySelectorAll('input, button, nav, section, pre')].filter((element) =>
        !(element.labels?.length > 0 || element.textContent.trim() || element.getAttribute('aria-label'))).length`
      expect(await page.evaluate(unnamed)).toBe(0)
      expect(await page.evaluate('document.documentElement.lang')).toBe('en')
      expect(await page.evaluate('document.querySelectorAll("h1").length')).toBe(1)
    })
  })

  it('shows the author of a signed record, and finds records by their author', async () => {
    const dir = join(work, 'signers')
    mkdirSync(dir)
    const { author } = makeAuthor(dir)
    const payload = Buffer.from('{"total":12}')
    const options = {
      dir,
      by: author,
      type: JWS_TYPE,
      payload,
      time: new Date().toISOString(),
    } as const
    const ledger = join(work, 'signed')
    await makeLedger(ledger, { records: [...testRecords(30), ...(await signedPair('order/1', options))] })
    await withPage(await makePack(ledger, '--prefix', 'order/'), async (page) => {
      expect(await page.evaluate(textOf('count'))).toBe('2 records found of 2.')
      expect(await openRecord(page, 'order/1')).toMatch(/^True/)
      const facts = await page.evaluate('document.querySelector("#details dl").textContent')
      expect(facts).toContain('verified: CN=Alice Ångström,')
      await tabTo(page, 'text')
      await page.type('alice')
      await page.press('Enter')
      await page.until(`${textOf('count')} === '1 record found of 2.'`)
    })
  })

  it('reports a changed content, header and index', async () => {
    const ledger = join(work, 'changed')
    await makeLedger(ledger, { records: testRecords(100) })
    const changed = await makePack(ledger)
    const change = (name: string, from: string, to: string): void => {
      const path = join(changed, name)
      const text = readFileSync(path, 'utf8')
      expect(text).toContain(from)
      rmSync(path)
      writeFileSync(path, text.replace(from, to))
    }
    change('page/data-1.js', base64('content of 7'), base64('content of 8'))
    change('page/index-1.js', '2026-11-22T00:00:09.000Z', '2026-11-21T00:00:09.000Z')
    await withPage(changed, async (page) => {
      expect(await openRecord(page, 'record/7')).toMatch(
        /^FALSE: the ledger signed another record: expected root /,
      )
      expect(await openRecord(page, 'record/9')).toMatch(/^FALSE: time of deposit: expected /)
      expect(await openRecord(page, 'record/11')).toMatch(/^True/)
    })
  })

  it(`is made of ${LARGE} records in bounded memory, and is searched and checked`, async () => {
    const ledger = join(work, 'large')
    await makeLedger(ledger, { records: testRecords(LARGE), tail: 'export' })
    const { code, stderr } = await run(
      process.execPath,
      [
        '--import',
        `data:text/javascript,${PRINT_MEMORY}`,
        serviceFs,
        'examine',
        ledger,
        '-o',
        `${ledger}-pack`,
      ],
      { timeoutMs: 900_000 },
    )
    expect(code).toBe(0)
    expect(Number(stderr) * 1024).toBeLessThan(MEMORY)
    await withPage(`${ledger}-pack`, async (page) => {
      expect(await openRecord(page, 'record/98765')).toMatch(/^True/)
      await tabTo(page, 'text')
      await page.type('record/99')
      await page.press('Enter')
      await tabTo(page, 'check-all')
      await page.press('Enter')
      const result = `/^Result/.test(${textOf('all-result')}) && ${textOf('all-result')}`
      expect(await page.until(result, 300)).toBe('Result for 1111 records: 1111 true, 0 FALSE.')
    })
  }, 1_200_000)
})
