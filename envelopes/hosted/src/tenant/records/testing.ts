/** For tests: damage that disks do to runs of the record index. */
import type { Random } from '@service-fs/storage/random'
import { PAGE_BYTES as PAGE } from './page.ts'

/** Changes the bytes of a run; `other` has those of another one. */
export type Damage = (bytes: Buffer, random: Random, other: Buffer) => Buffer

/** Ways in which a disk damages durable data.  */
export const DAMAGES: Readonly<Record<string, Damage>> = {
  'a bit is flipped': (bytes, random) => {
    const at = random.below(bytes.length)
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
    return bytes
  },
  'a page is zeros': (bytes, random) => {
    const at = random.below(bytes.length / PAGE) * PAGE
    return bytes.fill(0, at, at + PAGE)
  },
  'the end is cut off': (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'a page is cut out': (bytes, random) => {
    const at = random.below(bytes.length / PAGE) * PAGE
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + PAGE)])
  },
  'two pages are swapped': (bytes, random) => {
    const [one, other] = [0, 0].map(() => random.below(bytes.length / PAGE) * PAGE) as [number, number]
    const page = Buffer.from(bytes.subarray(one, one + PAGE))
    bytes.copyWithin(one, other, other + PAGE)
    page.copy(bytes, other)
    return bytes
  },
  'a page comes from another run': (bytes, random, other) => {
    const at = random.below(Math.min(bytes.length, other.length) / PAGE) * PAGE
    other.copy(bytes, at, at, at + PAGE)
    return bytes
  },
}
