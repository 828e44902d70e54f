// Every Ed25519 verifier here accepts the same signatures as Go's crypto/ed25519.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ed25519 } from '@noble/curves/ed25519.js'
import { nativeCrypto } from '@service-fs/native/native'
import { ed25519KeyProblem } from '@service-fs/tlog/ed25519-key'
import { ed25519Verify } from '@service-fs/tlog/ed25519'
import { beforeAll, describe, expect, it } from 'vitest'
import { goModules, goVersion } from '../support/go.ts'
import { REFUSED_KEYS, VECTORS, type Vector } from '../support/ed25519-vectors.ts'
import { repoRoot } from '../support/root.ts'

type Verify = (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean
const verifiers: [string, Verify][] = [
  ['the portable verifier', ed25519Verify],
  ["Node's", nativeCrypto.ed25519Verify as Verify],
]

/** The vectors whose verdict differs from the expected one. */
function wrong(verify: Verify, vectors: readonly Vector[]): string[] {
  return vectors
    .filter(({ key, message, signature, valid }) => verify(signature, message, key) !== valid)
    .map(({ what, valid }) => `${what}: expected ${valid}`)
}

describe.each(verifiers)('%s', (_, verify) => {
  it('requires R to be the encoding of [S]B - [k]A, and S below the order', () => {
    expect(VECTORS.length).toBeGreaterThan(800)
    expect(VECTORS.filter(({ valid }) => valid).length).toBeGreaterThan(150)
    expect(wrong(verify, VECTORS)).toEqual([])
  })

  it('accepts only signatures of 64 bytes and keys of 32 bytes', () => {
    const { key, message, signature } = VECTORS.find(({ valid }) => valid) as Vector
    expect(verify(signature, message, key)).toBe(true)
    expect(verify(signature.subarray(1), message, key)).toBe(false)
    expect(verify(Buffer.concat([signature, Buffer.alloc(1)]), message, key)).toBe(false)
    expect(verify(signature, message, key.subarray(1))).toBe(false)
    expect(verify(signature, message, Buffer.concat([key, Buffer.alloc(1)]))).toBe(false)
  })
})

describe('the rules for public keys', () => {
  it('rejects the 14 encodings of points of low order', () => {
    expect(new Set(REFUSED_KEYS.map((key) => key.toString('hex'))).size).toBe(14)
    for (const key of REFUSED_KEYS) {
      expect(ed25519KeyProblem(key), key.toString('hex')).toMatch(/low-order|non-canonical/)
    }
  })

  it('rejects a key that is not the canonical encoding of a point, as @noble decodes it', () => {
    const beyond = Array.from({ length: 19 }, (_, n) =>
      Buffer.from(`${(0xed + n).toString(16)}${'ff'.repeat(30)}7f`, 'hex'),
    )
    const random = Array.from({ length: 400 }, (_, n) => createHash('sha256').update(String(n)).digest())
    const given = [...VECTORS.map(({ key }) => key), ...beyond, ...random]
    const differs = given.filter((key) => (ed25519KeyProblem(key) === undefined) !== isGood(key))
    expect(differs.map((key) => key.toString('hex'))).toEqual([])
    // Half of all values of y belong to a point.
    expect(random.filter(isGood).length).toBeGreaterThan(100)
    expect(random.filter(isGood).length).toBeLessThan(300)
  })
})

function isGood(key: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(key, false).isSmallOrder()
  } catch {
    return false
  }
}

/** The reason why the vectors of the Go project are unavailable; empty if they are available. */
const why = goVersion === undefined ? ' (skipped: no go)' : ''
const here = join(repoRoot, 'test/ed25519')

describe.skipIf(why !== '')(`Go's crypto/ed25519${why}`, () => {
  let skipped: string | undefined
  beforeAll(async () => {
    skipped = await goModules(here)
  })

  it('gives the verdicts that these vectors expect', () => {
    expect(go(VECTORS)).toEqual(VECTORS.map(({ valid }) => valid))
  })

  it('agrees with both verifiers on the vectors of Go’s own tests', (context) => {
    if (skipped !== undefined) context.skip(skipped)
    const vectors = modulesVectors()
    expect(vectors.length).toBe(768)
    const said = go(vectors)
    const judged = vectors.map((vector, i) => ({ ...vector, valid: said[i] as boolean }))
    for (const [, verify] of verifiers) expect(wrong(verify, judged)).toEqual([])
    expect(said).toEqual(vectors.map(({ valid }) => valid))
  })
})

/** Go's verdict on each vector. */
function go(vectors: readonly Vector[]): boolean[] {
  const input = vectors.map(({ key, message, signature }) =>
    JSON.stringify({
      Key: key.toString('base64'),
      Message: message.toString('base64'),
      Signature: signature.toString('base64'),
    }),
  )
  const said = execFileSync('go', ['run', 'main.go'], {
    cwd: here,
    input: input.join('\n'),
    encoding: 'utf8',
  })
  return said
    .trim()
    .split('\n')
    .map((line) => line === 'true')
}

/** The vectors of filippo.io/mostly-harmless/ed25519vectors, from Go's own store of modules. */
function modulesVectors(): Vector[] {
  const list = ['list', '-m', '-f', '{{.Dir}}', 'filippo.io/mostly-harmless/ed25519vectors']
  const folder = execFileSync('go', list, { cwd: here, encoding: 'utf8' }).trim()
  const all = JSON.parse(readFileSync(join(folder, 'ed25519vectors.json'), 'utf8')) as {
    A: string
    R: string
    S: string
    M: string
    Flags: string[] | null
  }[]
  return all.map(({ A, R, S, M, Flags }, i) => ({
    what: `${i}: ${Flags?.join() ?? 'nothing special'}`,
    key: Buffer.from(A, 'hex'),
    message: Buffer.from(M),
    signature: Buffer.from(R + S, 'hex'),
    valid: Flags?.includes('LowOrderResidue') !== true && Flags?.includes('NonCanonicalR') !== true,
  }))
}
