// Damages of a ledger directory, each from a seed.
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Numbers from 0 up to, but not including, n. */
export type Random = (n: number) => number

/** xorshift32. */
export function random(seed: number): Random {
  let x = (seed * 2654435761 + 1) >>> 0 || 1
  return (n) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    return x % n
  }
}

export interface Damage {
  /** The path of the damaged file in the ledger. */
  file: string
  what: string
}

export function filesOf(dir: string, below: string = dir): string[] {
  return readdirSync(below, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(below, entry.name)
      return entry.isDirectory() ? filesOf(dir, path) : [relative(dir, path)]
    })
    .sort()
}

/** Damages one file of the ledger: flips a bit, cuts, appends, moves, removes or repeats a line, fills a stretch, or removes the file. */
export function damage(dir: string, next: Random): Damage {
  const files = filesOf(dir)
  const file = files[next(files.length)] ?? ''
  const path = join(dir, file)
  const bytes = readFileSync(path)
  const kind = KINDS[next(KINDS.length)] ?? KINDS[0]
  const [what, changed] = kind(bytes, next)
  unlinkSync(path)
  if (changed !== undefined) writeFileSync(path, changed)
  return { file, what }
}

type Kind = (bytes: Buffer, next: Random) => [what: string, changed: Buffer | undefined]

const flip: Kind = (bytes, next) => {
  const at = next(bytes.length || 1)
  const bit = next(8)
  const changed = Buffer.from(bytes)
  if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << bit)
  return [`bit ${bit} of byte ${at}`, changed]
}

const cut: Kind = (bytes, next) => {
  const at = next(bytes.length || 1)
  return [`cut at byte ${at}`, bytes.subarray(0, at)]
}

const append: Kind = (bytes, next) => {
  const text = ['\n', 'x', '\0', 'AAAA\n'][next(4)] ?? ''
  return [`appended ${JSON.stringify(text)}`, Buffer.concat([bytes, Buffer.from(text)])]
}

const fill: Kind = (bytes, next) => {
  const at = next(bytes.length || 1)
  const end = Math.min(bytes.length, at + 1 + next(700))
  const byte = [0, 10, 65][next(3)] ?? 0
  return [`byte ${byte} from ${at} to ${end}`, Buffer.from(bytes).fill(byte, at, end)]
}

function lines(edit: (all: string[], next: Random) => string): Kind {
  return (bytes, next) => {
    const all = bytes.toString('latin1').split('\n')
    const what = edit(all, next)
    return [what, Buffer.from(all.join('\n'), 'latin1')]
  }
}

const swapped = lines((all, next) => {
  const [a, b] = [next(all.length), next(all.length)]
  const [one, other] = [all[a] ?? '', all[b] ?? '']
  all[a] = other
  all[b] = one
  return `lines ${a + 1} and ${b + 1} swapped`
})

const removed = lines((all, next) => {
  const at = next(all.length)
  all.splice(at, 1)
  return `line ${at + 1} removed`
})

const repeated = lines((all, next) => {
  const [at, from] = [next(all.length), next(all.length)]
  all.splice(at, 0, all[from] ?? '')
  return `line ${from + 1} again before line ${at + 1}`
})

const KINDS: [Kind, ...Kind[]] = [
  flip,
  flip,
  flip,
  flip,
  flip,
  cut,
  append,
  fill,
  swapped,
  removed,
  repeated,
  () => ['removed', undefined],
]
