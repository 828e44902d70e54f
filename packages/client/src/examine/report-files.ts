/** The integrity report of a pack: report.json for programs, report.html for people. */
import type { Kept } from '@service-fs/format/duties'
import { conditionText } from '@service-fs/format/json-fields'
import { nativeCodec } from '@service-fs/native/native'
import { parseTlogProof } from '@service-fs/tlog/tlog-proof'
import { findingsOf } from './findings.ts'
import { AUDIT_FILES } from './audit-files.ts'
import { authorReport } from './pack-authors.ts'
import { JsonList, recordMembers } from './index-files.ts'
import type { ExaminedLedger } from './ledger.ts'
import type { PackOutput } from './output.ts'
import type { PackedRecord, PackFindings, PackOptions, PackSummary } from './packed.ts'
import { reportPage, reportRow, rowsPage } from './report-html.ts'
import { asciiJson } from './safe-text.ts'

/** The number of records on one page of the report. */
const ROWS = 2000

/** Writes the report, one record at a time. */
export class ReportFiles {
  readonly #output: PackOutput
  readonly #ledger: ExaminedLedger
  readonly #options: PackOptions
  readonly #json: JsonList
  #rows: string[] = []
  /** The pages of records that were written. */
  readonly #pages: string[] = []

  private constructor(output: PackOutput, ledger: ExaminedLedger, options: PackOptions, json: JsonList) {
    this.#output = output
    this.#ledger = ledger
    this.#options = options
    this.#json = json
  }

  static async open(output: PackOutput, ledger: ExaminedLedger, options: PackOptions): Promise<ReportFiles> {
    const json = await output.open('report.json')
    const { from, to, type, prefix, where } = options.selection
    const head = {
      format: 'service-fs/integrity-report/v1',
      made: options.made,
      program: options.program,
      selection: { from, to, type, prefix, where: where?.map(conditionText) },
      ledger: {
        origin: ledger.origin,
        size: ledger.checkpoint.size,
        root: ledger.checkpoint.root,
        checkpoint: ledger.note,
        keys: [...ledger.keys.values()],
        keys_pinned: ledger.trust.pinned,
        cosignatures: ledger.cosignatures,
        earlier_checkpoints: ledger.earlier,
      },
    }
    await json.write(`${asciiJson(head).slice(0, -1)},"records":[`)
    return new ReportFiles(output, ledger, options, new JsonList(json))
  }

  async add(row: PackedRecord, kept: Kept): Promise<void> {
    const { time, ...others } = recordMembers(row)
    const author = row.author && authorReport(row.author)
    const signatureOf = row.signatureOf
    await this.#json.add({
      ...others,
      deposited: time,
      unchanged: true,
      duty: kept,
      author,
      signature_of: signatureOf,
    })
    if (this.#rows.length === ROWS) await this.#page()
    this.#rows.push(reportRow(row, kept))
  }

  async end(summary: PackSummary, found: PackFindings): Promise<void> {
    const { recorded, isAnchored } = this.#options
    const { corrections, duties } = found
    const { checked, notChecked } = findingsOf(this.#ledger, summary, { ...found, recorded, isAnchored })
    const counts = {
      entries_read: summary.size,
      records_read: summary.recordsRead,
      records: summary.records,
      bytes: summary.bytes,
      signed: summary.authors.signed,
      signatures_verified: summary.authors.verified,
      signatures_added: summary.signatures,
    }
    const tail = {
      counts,
      checked,
      not_checked: notChecked,
      duties: duties.members(),
      audit: auditMembers(recorded),
      clock_corrections: corrections.count,
      first_clock_corrections: corrections.first,
    }
    await this.#json.end(`],${asciiJson(tail).slice(1)}\n`)
    // If one page is enough, the report itself contains the records.
    if (this.#pages.length > 0) await this.#page()
    const html = reportPage({
      duties,
      ledger: this.#ledger,
      options: this.#options,
      summary,
      checked,
      notChecked,
      rows: this.#rows,
      pages: this.#pages,
    })
    await this.#output.put('report.html', nativeCodec.utf8Encode(html))
  }

  async #page(): Promise<void> {
    const number = this.#pages.length + 1
    const path = `report/records-${String(number).padStart(4, '0')}.html`
    await this.#output.put(path, nativeCodec.utf8Encode(rowsPage(this.#ledger.origin, number, this.#rows)))
    this.#pages.push(path)
    this.#rows = []
  }
}

function auditMembers(recorded: PackOptions['recorded']): object {
  if (typeof recorded !== 'object') return { recorded: recorded ?? 'nowhere' }
  const { origin, index, vkeys, proof } = recorded
  const { checkpoint } = parseTlogProof(proof, nativeCodec)
  return { recorded: 'in-pack', origin, index, keys: vkeys, checkpoint, ...AUDIT_FILES }
}
