/**
 * Tree bindings: entries by which a ledger binds a second tree to the log's tree. A second tree is over the same entries, with another
 * hash. docs/format.md specifies both.
 *
 * A binding has the type TREE_TYPE. Clients cannot append records of this type.
 */
import type { Codec } from '@service-fs/tlog/codec'
import { equalBytes } from '@service-fs/tlog/codec'
import { isHash, nobleHasher, type Hasher } from '@service-fs/tlog/hash'
import { isSize } from '@service-fs/tlog/math'
import { parseVkey, TYPE_ED25519 } from '@service-fs/tlog/note'
import type { Entry } from './entry.ts'
import { messageOf } from './errors.ts'

/** The type of a binding entry. */
export const TREE_TYPE = 'application/vnd.service-fs.tree+json'
/**
 * The start of a binding's identifier. The name of the algorithm, a slash and a number from 1 follow. Clients cannot append records with
 * such an identifier.
 */
export const TREE_ID_PREFIX = 'vnd.service-fs.tree/'

/** The hash algorithm of a second tree. Its name is also the name of the tree's folder and the end of the tree's origin. */
export type TreeAlgorithm = 'sha3-256' | 'sha2-512' | 'blake3'

/** A hash algorithm of second trees. */
export interface TreeAlgorithmFacts {
  readonly name: TreeAlgorithm
  /** The length of a hash in bytes. */
  readonly bytes: number
  /**
   * The object identifier. NIST registers the identifiers of SHA-2 and SHA-3 (csrc.nist.gov, Computer Security Objects Register). The
   * identifier of BLAKE3 is in the arc of RFC 7693; Bouncy Castle uses the same one.
   */
  readonly oid: string
}

/** The hash algorithms of second trees. */
export const TREE_ALGORITHMS: readonly TreeAlgorithmFacts[] = [
  { name: 'sha3-256', bytes: 32, oid: '2.16.840.1.101.3.4.2.8' },
  { name: 'sha2-512', bytes: 64, oid: '2.16.840.1.101.3.4.2.3' },
  { name: 'blake3', bytes: 32, oid: '1.3.6.1.4.1.1722.12.2.3.8' },
]

/** Reports whether `name` is the name of a second tree's hash algorithm. */
export function isTreeAlgorithm(name: unknown): name is TreeAlgorithm {
  return TREE_ALGORITHMS.some((one) => one.name === name)
}

/** Returns the facts about an algorithm. */
export function treeAlgorithm(name: TreeAlgorithm): TreeAlgorithmFacts {
  const found = TREE_ALGORITHMS.find((one) => one.name === name)
  if (found === undefined) throw new RangeError(`expected a hash algorithm of second trees, found ${name}`)
  return found
}

/** Returns the origin of a ledger's second tree, which is also the name of its key. */
export function treeOrigin(origin: string, algorithm: TreeAlgorithm): string {
  return `${origin}/${algorithm}`
}

/**
 * Returns the identifier of the `n`-th binding of an algorithm, where `n` starts at 1. A ledger skips an identifier that a client has used.
 */
export function treeBindingId(algorithm: TreeAlgorithm, n: number): string {
  return `${TREE_ID_PREFIX}${algorithm}/${n}`
}

/** The payload of a binding. */
export interface TreeBinding {
  algorithm: TreeAlgorithm
  /** The origin of the second tree: the origin of the log, a slash and the algorithm. */
  origin: string
  /** The root hash of the second tree over the first `size` entries, in base64. */
  root: string
  /** The root hash of the log's tree over the same entries, in base64. */
  sha256Root: string
  /** The number of bound entries, which is at most the index of the binding entry. */
  size: number
  /** The key of the second tree, an Ed25519 vkey named `origin`. */
  vkey: string
}

/** A problem of a binding. */
export interface BindingProblem {
  field: string
  expected: string
  found: string
}

/** Returns the payload of a binding: RFC 8785 JSON in UTF-8. */
export function bindingPayload(binding: TreeBinding, codec: Codec): Uint8Array {
  const { algorithm, origin, root, sha256Root, size, vkey } = binding
  return codec.utf8Encode(JSON.stringify({ algorithm, origin, root, sha256Root, size, vkey }))
}

/**
 * Returns the binding that an entry states, or its problem; undefined when the entry is not a binding. The payload must be exactly the text
 * of {@link bindingPayload}. The caller compares the binding with the log: {@link misplacedBinding}.
 */
export function bindingIn(
  entry: Entry,
  codec: Codec,
  hasher: Hasher = nobleHasher,
): TreeBinding | BindingProblem | undefined {
  const { header, payload, continuation, split } = entry
  if (header.type !== TREE_TYPE) return undefined
  if (continuation !== undefined || split !== undefined)
    return { field: 'parts', expected: 'a binding in one entry', found: 'a split record' }
  let value: unknown
  try {
    value = JSON.parse(codec.utf8Decode(payload))
  } catch {
    return { field: 'payload', expected: 'JSON in UTF-8', found: 'invalid JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return {
      field: 'payload',
      expected: 'a JSON object',
      found: Array.isArray(value) ? 'an array' : shown(value),
    }
  const members = value as Readonly<Record<string, unknown>>
  const problem = memberProblem(members, codec, hasher)
  if (problem !== undefined) return problem
  const binding = members as unknown as TreeBinding
  if (equalBytes(bindingPayload(binding, codec), payload)) return binding
  return {
    field: 'payload',
    expected: 'the canonical JSON of the members of a binding',
    found: 'another text',
  }
}

/** Reports whether the result of {@link bindingIn} is a problem. */
export function isBindingProblem(found: TreeBinding | BindingProblem): found is BindingProblem {
  return 'field' in found
}

/** Returns the first problem of a binding at its place, entry `index` of the log with this origin. */
export function misplacedBinding(
  { algorithm, origin, size }: TreeBinding,
  place: { origin: string; index: number },
): BindingProblem | undefined {
  const expected = treeOrigin(place.origin, algorithm)
  if (origin !== expected) return { field: 'origin', expected, found: shown(origin) }
  if (size <= place.index) return undefined
  return { field: 'size', expected: `at most ${place.index}, the index of the entry`, found: String(size) }
}

function memberProblem(
  members: Readonly<Record<string, unknown>>,
  codec: Codec,
  hasher: Hasher,
): BindingProblem | undefined {
  const { algorithm, origin, root, sha256Root, size, vkey } = members
  if (!isTreeAlgorithm(algorithm))
    return {
      field: 'algorithm',
      expected: TREE_ALGORITHMS.map(({ name }) => name).join(', '),
      found: shown(algorithm),
    }
  if (typeof origin !== 'string' || !origin.endsWith(`/${algorithm}`))
    return { field: 'origin', expected: `text that ends in /${algorithm}`, found: shown(origin) }
  const { bytes } = treeAlgorithm(algorithm)
  if (!isHashOf(root, bytes, codec))
    return { field: 'root', expected: `the base64 of ${bytes} bytes`, found: shown(root) }
  if (typeof sha256Root !== 'string' || !isHash(sha256Root))
    return { field: 'sha256Root', expected: 'the base64 of 32 bytes', found: shown(sha256Root) }
  if (typeof size !== 'number' || !isSize(size))
    return { field: 'size', expected: 'a tree size', found: shown(size) }
  return vkeyProblem(vkey, origin, codec, hasher)
}

function vkeyProblem(
  vkey: unknown,
  origin: string,
  codec: Codec,
  hasher: Hasher,
): BindingProblem | undefined {
  const expected = `an Ed25519 vkey named ${origin}`
  if (typeof vkey !== 'string') return { field: 'vkey', expected, found: shown(vkey) }
  try {
    const { name, type } = parseVkey(vkey, hasher, codec)
    if (name === origin && type === TYPE_ED25519) return undefined
    return { field: 'vkey', expected, found: `a key of type ${type} named ${shown(name)}` }
  } catch (error) {
    return { field: 'vkey', expected, found: messageOf(error) }
  }
}

/** Reports whether a value is the canonical base64 of this many bytes. */
function isHashOf(value: unknown, bytes: number, codec: Codec): value is string {
  if (typeof value !== 'string') return false
  try {
    return codec.base64Decode(value).length === bytes
  } catch {
    return false
  }
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  return typeof value === 'number' ? String(value) : typeof value
}
