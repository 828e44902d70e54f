/** The part of the conformance suite about signatures of authors (docs/signed-origin.md). A server need not verify them. */
import { NDJSON, type Tools } from './conformance-tools.ts'

const body = (more: object): string => JSON.stringify({ payload_id: 'a', payload: 1, ...more })

export function signedRecords({ it, same, refused }: Tools): void {
  it('records nothing when a signature is invalid or cannot be verified', async (w) => {
    for (const signature of ['', 'a..b', 'TQ==', 'x'.repeat(100_000)]) {
      const { json, ...answer } = await w.post(body({ signature }))
      const code = json.code === 'not-implemented' ? 'not-implemented' : 'bad-signature'
      refused({ json, ...answer }, code, { field: 'signature' })
      const raw = await w.post('x', { 'x-payload-id': 'a', 'x-signature': 'a..b' })
      refused(raw, code, { field: 'X-Signature' })
      const lines = await w.post(`${body({})}\n${body({ payload_id: 'b', signature })}\n`, NDJSON)
      refused(lines, code, { field: 'signature', line: 2 })
    }
    same((await w.ask('/v1/entries')).json.entries, [])
  })

  it('rejects a signature in the wrong place, and identifiers of signatures', async (w) => {
    refused(await w.post('{"payload_id":"a","payload":1,"signature":1}'), 'bad-request', {
      field: 'signature',
    })
    refused(await w.post('{"payload_id":"a","payload":1}', { 'x-signature': 'a..b' }), 'bad-request', {
      field: 'X-Signature',
    })
    refused(await w.append('vnd.service-fs.signature/x', 1), 'bad-record', {})
    const line = JSON.stringify({ payload_id: 'a', payload: 1, signature: 'a..b' })
    refused(await w.post(`${line}\n`.repeat(257), NDJSON), 'too-large', { field: 'body' })
    same((await w.ask('/v1/entries')).json.entries, [])
  })
}
