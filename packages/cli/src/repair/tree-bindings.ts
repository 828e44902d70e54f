/** Collects the entries of a log that bind second trees. */
import { parseEntry } from '@service-fs/format/entry'
import {
  bindingIn,
  isBindingProblem,
  misplacedBinding,
  TREE_TYPE,
  type TreeAlgorithm,
  type TreeBinding,
} from '@service-fs/format/tree-binding'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'

/** A binding, and the index of its entry. */
export interface BoundTree {
  readonly index: number
  readonly binding: TreeBinding
}

export class TreeBindings {
  readonly #origin: string
  readonly #found: BoundTree[] = []

  /** `origin`: the origin of the log. */
  constructor(origin: string) {
    this.#origin = origin
  }

  /** Adds the binding that the entry states. Leaves out a binding that does not hold for this log, which `verify` reports. */
  add(index: number, entry: Uint8Array): void {
    // Parse only entries that can be bindings.
    if (!Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength).includes(TREE_TYPE)) return
    const binding = bindingOf(entry)
    if (binding === undefined || misplacedBinding(binding, { origin: this.#origin, index }) !== undefined)
      return
    this.#found.push({ index, binding })
  }

  of(algorithm: TreeAlgorithm): BoundTree[] {
    return this.#found.filter(({ binding }) => binding.algorithm === algorithm)
  }
}

function bindingOf(entry: Uint8Array): TreeBinding | undefined {
  try {
    const found = bindingIn(parseEntry(entry, nativeCodec), nativeCodec, nativeHasher)
    return found === undefined || isBindingProblem(found) ? undefined : found
  } catch {
    return undefined
  }
}
