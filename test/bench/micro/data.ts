// Data that the kernels work on: always the same.

/** Returns bytes that do not repeat soon, by a linear congruential generator (Numerical Recipes). */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** The payload of the benchmark's records: canonical JSON of about 200 bytes. */
export function payloadOf(n: number): string {
  const memo = 'abcdefghijklmnopqrstuvwxyz'.repeat(4).slice(0, 90)
  return `{"account":"DE02-1203-0000-0000-2020-51","amount":${100_000 + n},"currency":"EUR","id":"r-${n}","memo":"${memo}"}`
}

/** Identifiers of records. */
export function idOf(n: number): string {
  return `papers/2026/invoice-${n}.json`
}
