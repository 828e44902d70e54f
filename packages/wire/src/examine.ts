/** POST /v1/examine: an examiner's pack of selected records, as a zip archive. docs/examine.md describes packs. */
import { recordRead } from './audit.ts'
import type { Call, Streamed, WireOptions } from './call.ts'
import { operatorBody } from './operator-body.ts'
import { PackBody, type RecordedPack } from './packs.ts'
import { Problem } from './problem.ts'
import { conditionsShown, selectionInBody } from './selection.ts'

const ROUTE = '/v1/examine'

/**
 * Starts a pack. Before the first byte is sent, the wire records the selection and the size of the tree. If the pack cannot
 * be completed, the connection breaks, and the archive has no end.
 */
export async function examine(call: Call): Promise<Streamed> {
  const { request, options, packs } = call
  if (options.examine === undefined)
    throw new Problem('not-implemented', 'this server makes no packs: run service-fs examine with its URL')
  const selection = selectionInBody(operatorBody(request, options.codec), options.codec)
  const slot = packs.enter(request)
  try {
    const pack = await options.examine(selection)
    const shown = { what: { ...conditionsShown(selection), size: pack.size }, entries: 0 }
    const index = await recordRead(call, ROUTE, shown, 0, options)
    const entry = await recordedPack(index, options)
    if (entry !== undefined) pack.recorded?.(entry)
    const body = new PackBody(pack, () => slot.leave())
    slot.made(body)
    return {
      status: 200,
      headers: {
        'content-type': 'application/zip',
        'content-disposition': 'attachment; filename="pack.zip"',
        // Proxies must not change the archive: to do so, they may buffer all of it.
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        ...(index === undefined ? {} : { 'x-audit-index': String(index) }),
      },
      body,
    }
  } catch (error) {
    slot.leave()
    throw error
  }
}

async function recordedPack(
  index: number | undefined,
  { audit }: WireOptions,
): Promise<RecordedPack | undefined> {
  if (index === undefined || audit === undefined) return undefined
  const { payload } = await audit.record(index)
  return { origin: audit.origin, vkeys: audit.vkeys, index, payload, proof: await audit.tlogProof(index) }
}
