/** POST /v1/rehash builds a second tree over the ledger, with another hash; GET /v1/trees shows the second trees. */
import { isTreeAlgorithm, TREE_ALGORITHMS, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { jsonAnswer, type Answer, type Call } from './call.ts'
import { badField } from './fields.ts'
import { operatorBody } from './operator-body.ts'
import { Problem } from './problem.ts'
import type { Trees } from './shown-trees.ts'

/** GET /v1/trees: returns the second trees of the ledger with their progress. */
export async function trees(call: Call): Promise<Answer> {
  return jsonAnswer(JSON.stringify({ trees: treesOf(call).list() }))
}

/** POST /v1/rehash `{hash}`: begins the second tree with this hash. A repeated request only returns the state of the tree. */
export async function rehash(call: Call): Promise<Answer> {
  const { request, options } = call
  const found = treesOf(call)
  const algorithm = hashIn(operatorBody(request, options.codec))
  return jsonAnswer(JSON.stringify(await found.begin(algorithm)))
}

function treesOf({ options }: Call): Trees {
  if (options.trees !== undefined) return options.trees
  throw new Problem('not-implemented', 'this server keeps no second trees')
}

function hashIn(body: unknown): TreeAlgorithm {
  const names = TREE_ALGORITHMS.map(({ name }) => name).join(', ')
  if (typeof body !== 'object' || body === null) throw badField('body', 'a JSON object', shown(body))
  const { hash, ...others } = body as Record<string, unknown>
  const [other] = Object.keys(others)
  if (other !== undefined) throw badField(other, 'no member besides hash', shown(others[other]))
  if (!isTreeAlgorithm(hash)) throw badField('hash', `one of ${names}`, shown(hash))
  return hash
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
