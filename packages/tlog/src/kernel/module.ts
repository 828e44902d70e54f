import { decodeBase64 } from '../base64.ts'
import { MODULE } from './module.generated.ts'

/** The functions of assembly/index.ts. Addresses are offsets in the memory. */
export interface Functions {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly base: { readonly value: number }
  leaves(bytes: number, offsets: number, count: number, out: number): void
  digests(bytes: number, offsets: number, count: number, out: number): void
  nodes(pairs: number, count: number, out: number): void
  root(hashes: number, count: number): void
  encodeLines(bytes: number, offsets: number, count: number, out: number, ends: number): number
  encodeHashes(hashes: number, count: number, out: number): void
  decodeLines(text: number, length: number, count: number, out: number, offsets: number): number
}

interface Engine {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { readonly exports: unknown }
}

let compiled: object | undefined

/** Returns the functions over a new memory; undefined where WebAssembly or its SIMD is missing or forbidden. */
export function instantiate(): Functions | undefined {
  const engine = (globalThis as { WebAssembly?: Engine }).WebAssembly
  if (engine === undefined) return undefined
  try {
    compiled ??= new engine.Module(decodeBase64(MODULE))
    return new engine.Instance(compiled).exports as Functions
  } catch {
    return undefined
  }
}
