/** Routes for checkpoints and proofs. */
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { cursorIndex } from './entries.ts'
import { integer, integerParameter } from './fields.ts'
import { Problem } from './problem.ts'
import { accepts, TLOG_PROOF } from './request.ts'

/** GET /v1/checkpoint: the signed checkpoint, as JSON if `Accept` names it. */
export async function checkpoint(call: Call): Promise<Answer> {
  const note = call.ledger.checkpoint()
  const [origin = '', size = '', root = ''] = note.split('\n', 3)
  const shown = { what: { size: Number(size) }, entries: 0 }
  if (!accepts(call.request, 'application/json')) return answer('text/plain; charset=utf-8', note, shown)
  const body = { origin, size: Number(size), root_hash: root, checkpoint: note }
  return jsonAnswer(JSON.stringify(body), shown)
}

/** GET /v1/proof/inclusion?index&size. `size` defaults to the size of the checkpoint. */
export async function inclusionProof(call: Call): Promise<Answer> {
  const current = call.ledger.size
  const index = integerParameter(call.query, 'index')
  const size = integerParameter(call.query, 'size', current)
  if (size > current) throw beyond('size', `at most ${current}`, size, current)
  if (index >= size)
    throw beyond('index', size === 0 ? 'a tree with entries' : `below ${size}`, index, current)
  const { leafHash, rootHash, hashes } = await call.ledger.inclusionProof(index, size)
  const body = { index, size, leaf_hash: leafHash, root_hash: rootHash, hashes }
  return jsonAnswer(JSON.stringify(body), { what: { index, size }, entries: 0 })
}

/** GET /v1/proof/consistency?from&to. `to` defaults to the size of the checkpoint. The proof from 0 is empty. */
export async function consistencyProof(call: Call): Promise<Answer> {
  const current = call.ledger.size
  const from = integerParameter(call.query, 'from')
  const to = integerParameter(call.query, 'to', current)
  if (to > current) throw beyond('to', `at most ${current}`, to, current)
  if (from > to) throw beyond('from', `at most ${to}`, from, current)
  const hashes = from === 0 || from === to ? [] : (await call.ledger.consistencyProof(from, to)).hashes
  return jsonAnswer(JSON.stringify({ from, to, hashes }), { what: { from, to }, entries: 0 })
}

/** GET /v1/entries/{cursor}/proof: the .tlog-proof of an entry (c2sp.org/tlog-proof), to the newest checkpoint. */
export async function recordProof(call: Call): Promise<Answer> {
  const cursor = integer(call.params['cursor'] ?? '', 'cursor')
  const proof = await call.ledger.tlogProof(cursorIndex(call, cursor))
  return answer(`${TLOG_PROOF}; charset=utf-8`, proof, { what: { cursor }, entries: 0 })
}

function beyond(field: string, expected: string, supplied: number, size: number): Problem {
  const detail = `${field}: expected ${expected}, found ${supplied}; the tree has ${size} entries`
  return new Problem('range', detail, { field, expected, supplied, size })
}
