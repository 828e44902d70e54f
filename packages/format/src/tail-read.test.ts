import { formatCheckpointText } from '@service-fs/tlog/checkpoint'
import { Edge } from '@service-fs/tlog/edge'
import { nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import { describe, expect, it } from 'vitest'
import { readTail, type TailContent } from './tail-read.ts'
import { formatCommit, formatEdge } from './tail-text.ts'

const origin = 'example.org/ledger/tail'
const key = { name: origin, type: 1, seed: new Uint8Array(32).fill(1) }
const signer = signerFromKey(formatSignerKey(key, nativeCrypto), nativeCrypto)
const verifiers = [verifierFromVkey(signer.vkey, nativeCrypto)]

/** A tail file that starts at `start`, with commits of these many entries each; `ends` are the offsets after each commit. */
async function tailFile(
  start: number,
  commits: number[],
): Promise<{ bytes: Buffer; ends: number[]; sizes: number[] }> {
  const edge = new Edge()
  for (let i = 0; i < start; i++) edge.append(nativeHasher.leaf(Buffer.from(`entry ${i}`)))
  let bytes = Buffer.from(formatEdge(edge.hashes()))
  const ends: number[] = []
  const sizes: number[] = []
  for (const count of commits) {
    const entries = Array.from({ length: count }, (_, i) => Buffer.from(`entry ${edge.size + i}`))
    for (const entry of entries) edge.append(nativeHasher.leaf(entry))
    const text = formatCheckpointText({ origin, size: edge.size, root: edge.root(), extensions: [] })
    const note = `${text}\n${await signer.sign(text)}`
    bytes = Buffer.concat([
      bytes,
      formatCommit(
        entries.map((entry) => entry.toString('base64')),
        note,
      ),
    ])
    ends.push(bytes.length)
    sizes.push(edge.size)
  }
  return { bytes, ends, sizes }
}

async function* files(
  ...list: { start: number; bytes: Uint8Array }[]
): AsyncGenerator<{ start: number; bytes: Uint8Array }> {
  yield* list
}

const read = (start: number, bytes: Uint8Array): Promise<TailContent | undefined> =>
  readTail(files({ start, bytes }), { origin, verifiers })

/** A tail file cut off `cut` bytes after `end`, optionally followed by preallocated space. */
function tornFile(bytes: Buffer, end: number, cut: number, fill?: number): Buffer {
  return Buffer.concat([bytes.subarray(0, end + cut), Buffer.alloc(fill === undefined ? 0 : 600, fill)])
}

describe('a tail', () => {
  it('is read back: entries, leaf hashes, newest checkpoint', async () => {
    const { bytes, ends } = await tailFile(512, [1, 3, 2])
    const tail = await read(512, bytes)
    expect(tail).toMatchObject({ start: 512, rest: 'none', end: ends[2], checkpoint: { size: 518 } })
    expect(tail?.lines.map((line) => Buffer.from(line, 'base64').toString())).toEqual(
      [512, 513, 514, 515, 516, 517].map((i) => `entry ${i}`),
    )
    expect(await readTail(files(), { origin, verifiers })).toBeUndefined()
  })

  it('may start with a commit without entries', async () => {
    const { bytes } = await tailFile(256, [0, 2])
    expect(await read(256, bytes)).toMatchObject({ rest: 'none', checkpoint: { size: 258 } })
    const { bytes: twice } = await tailFile(256, [2, 0])
    await expect(read(256, twice)).rejects.toThrow('at least one entry')
  })

  it('is corrupt, not torn, if an invalid commit follows a first commit without entries', async () => {
    const { bytes, ends } = await tailFile(256, [0, 9, 1])
    const [first = 0, second = 0] = ends
    const damaged = async (changed: Uint8Array): Promise<void> => {
      await expect(read(256, changed)).rejects.toThrow(`tail/000000000256: byte ${first}: `)
      const options = { origin, verifiers, damaged: () => undefined }
      expect(await readTail(files({ start: 256, bytes: changed }), options)).toMatchObject({
        checkpoint: { size: 256 },
        lines: [],
      })
    }
    for (let cut = first + 1; cut < second; cut++) await damaged(bytes.subarray(0, cut))
    for (const fill of [0, 10]) {
      await damaged(Buffer.concat([bytes.subarray(0, first), Buffer.alloc(600, fill)]))
      await damaged(Buffer.concat([bytes.subarray(0, first + 40), Buffer.alloc(600, fill)]))
    }
    expect(await read(256, bytes.subarray(0, second + 20))).toMatchObject({
      rest: 'torn',
      checkpoint: { size: 265 },
    })
  })

  it('may continue with a file that starts with a commit without entries', async () => {
    const first = await tailFile(256, [2, 3])
    for (const [start, commits] of [
      [258, [0, 3, 2]],
      [261, [0, 2]],
      [256, [0, 7]],
    ] as const) {
      const next = await tailFile(start, [...commits])
      const list = files({ start: 256, bytes: first.bytes }, { start, bytes: next.bytes })
      expect(await readTail(list, { origin, verifiers })).toMatchObject({
        checkpoint: { size: 263 },
        lines: { length: 7 },
        newest: { start },
      })
    }
  })

  it.each([0, 10])('may end in preallocated bytes of %i', async (fill) => {
    const { bytes } = await tailFile(0, [2, 1])
    for (const length of [1, 2, 3, 511, 5000]) {
      expect(await read(0, Buffer.concat([bytes, Buffer.alloc(length, fill)]))).toMatchObject({
        rest: 'fill',
        checkpoint: { size: 3 },
      })
    }
  })

  it('ignores a last commit that is truncated anywhere', async () => {
    const { bytes, ends } = await tailFile(300, [2, 9])
    const [first = 0, second = 0] = ends
    for (let cut = first + 1; cut < second; cut++) {
      expect(await read(300, bytes.subarray(0, cut)), `cut at ${cut}`).toMatchObject({
        rest: 'torn',
        end: first,
        checkpoint: { size: 302 },
      })
    }
  })

  it.each([0, 10])('ignores a last commit with unwritten sectors of bytes %i', async (fill) => {
    const { bytes, ends } = await tailFile(0, [3, 200])
    const [first = 0, second = 0] = ends
    const sectors = Math.ceil(second / 512)
    for (let sector = Math.floor(first / 512); sector < sectors; sector++) {
      const torn = Buffer.from(bytes)
      torn.fill(fill, Math.max(first, sector * 512), Math.min(second, (sector + 1) * 512))
      const tail = await read(0, torn)
      // Without its last, perhaps partial sector, a commit looks truncated.
      expect(tail, `sector ${sector}`).toMatchObject({ rest: 'torn', end: first, checkpoint: { size: 3 } })
    }
  })

  it('rejects any changed byte before the last commit, and names file and offset', async () => {
    const { bytes, ends } = await tailFile(300, [2, 3, 1])
    for (let at = 0; at < (ends[1] ?? 0); at++) {
      for (const value of [0, 10, 0x41, (bytes[at] ?? 0) ^ 1]) {
        if (value === bytes[at]) continue
        const changed = Buffer.from(bytes)
        changed[at] = value
        await expect(read(300, changed), `byte ${at} as ${value}`).rejects.toMatchObject({
          code: 'corrupt',
          message: expect.stringContaining('tail/000000000300: byte '),
        })
      }
    }
  })

  it('never accepts another tree when bytes of the last commit change', async () => {
    const { bytes, ends } = await tailFile(0, [2, 3])
    const honest = await read(0, bytes)
    for (let at = ends[0] ?? 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 4
      const tail = await read(0, changed).catch(() => undefined)
      if (tail?.checkpoint.size === 5) expect(tail.checkpoint.root).toBe(honest?.checkpoint.root)
      else if (tail !== undefined) expect(tail).toMatchObject({ rest: 'torn', checkpoint: { size: 2 } })
    }
  })

  it('may continue with a file that repeats the last entries of the file before it', async () => {
    const { bytes: first } = await tailFile(256, [2, 3])
    const again = async (start: number, commits: number[]): Promise<TailContent | undefined> => {
      const { bytes } = await tailFile(start, commits)
      return readTail(files({ start: 256, bytes: first }, { start, bytes }), { origin, verifiers })
    }
    const expected = await read(256, (await tailFile(256, [7])).bytes)
    for (const [start, commits] of [
      [258, [3, 2]],
      [257, [6]],
      [260, [1, 2]],
    ] as const) {
      const tail = await again(start, [...commits])
      expect(tail).toMatchObject({
        lines: expected?.lines,
        leaves: expected?.leaves,
        checkpoint: { size: 263 },
      })
      expect(tail).toMatchObject({ start: 256, files: 2, newest: { start }, note: expected?.note })
    }
    await expect(again(258, [2])).rejects.toThrow(
      'tail/000000000258: byte 0: expected entry 260 as in the file before it',
    )
    await expect(again(262, [1])).rejects.toThrow('to continue at entry 261')
  })

  it('reads consecutive files, and rejects files that are not', async () => {
    const a = await tailFile(0, [3])
    const b = await tailFile(3, [2, 1])
    const gap = await tailFile(4, [2])
    expect(
      await readTail(files({ start: 0, bytes: a.bytes }, { start: 3, bytes: b.bytes }), {
        origin,
        verifiers,
      }),
    ).toMatchObject({ start: 0, files: 2, checkpoint: { size: 6 } })
    await expect(
      readTail(files({ start: 0, bytes: a.bytes }, { start: 4, bytes: gap.bytes }), { origin, verifiers }),
    ).rejects.toThrow('tail/000000000004: byte 0: expected the file to continue at entry 3')
  })

  describe('whose first file ends in a torn commit', () => {
    it('continues only at the end of the valid commits', async () => {
      const { bytes, ends } = await tailFile(0, [3, 2])
      const next = await tailFile(3, [4, 1])
      const end = ends[0] ?? 0
      for (let cut = 0; cut < bytes.length - end; cut += 7) {
        const first = { start: 0, bytes: tornFile(bytes, end, cut, cut % 2 === 0 ? undefined : 0) }
        const tail = await readTail(files(first, { start: 3, bytes: next.bytes }), { origin, verifiers })
        expect(tail, `cut at ${cut}`).toMatchObject({
          start: 0,
          rest: 'none',
          end: next.bytes.length,
          files: 2,
          checkpoint: { size: 8 },
        })
        expect(tail?.lines).toHaveLength(8)
      }
      const behind = await tailFile(5, [1])
      const first = { start: 0, bytes: tornFile(bytes, end, 20) }
      await expect(
        readTail(files(first, { start: 5, bytes: behind.bytes }), { origin, verifiers }),
      ).rejects.toThrow('tail/000000000005: byte 0: expected the file to continue at entry 3')
    })

    it('rejects a file that continues with another tree', async () => {
      const { bytes, ends } = await tailFile(0, [3, 2])
      const { bytes: next } = await tailFile(3, [4])
      next.set(next.subarray(0, 44), 45)
      const first = { start: 0, bytes: tornFile(bytes, ends[0] ?? 0, 20) }
      await expect(readTail(files(first, { start: 3, bytes: next }), { origin, verifiers })).rejects.toThrow(
        'tail/000000000003: byte 0: expected the right edge of the tree of 3 entries',
      )
    })

    it('rejects a file without a valid commit, or with a changed one', async () => {
      const { bytes, ends } = await tailFile(0, [3, 2])
      const next = { start: 3, bytes: (await tailFile(3, [1])).bytes }
      const none = { start: 0, bytes: bytes.subarray(0, (ends[0] ?? 0) - 1) }
      await expect(readTail(files(none, next), { origin, verifiers })).rejects.toThrow(
        'tail/000000000000: byte 1: expected',
      )
      const changed = Buffer.from(bytes)
      changed[(ends[0] ?? 0) + 5] = 0x2d
      const first = { start: 0, bytes: changed }
      await expect(readTail(files(first, next), { origin, verifiers })).rejects.toThrow(
        `tail/000000000000: byte ${ends[0]}: entry line 1 of the commit: expected canonical`,
      )
    })
  })
})
