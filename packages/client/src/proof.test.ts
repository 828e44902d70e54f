import { entriesOf, PART_BYTES } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { expect, it } from 'vitest'
import { checkPayloadProof } from './proof.ts'
import { proofOf, testSigner } from './testing.ts'
import { Trust } from './trust.ts'

const record = {
  id: 'film',
  type: 'video/mp4',
  time: '2026-11-21T00:00:00.000Z',
  payload: Buffer.from('0123456789'.repeat(15_000)),
}

it('a split record is proven by its first entry, and a later entry is rejected as a record', async () => {
  const entries = entriesOf(record, sha256Hex)
  expect(entries).toHaveLength(3)
  const { policy } = Trust.pinned({ vkeys: [testSigner().vkey] }) as Trust
  expect(checkPayloadProof(await proofOf(entries, 0), record.payload, policy)).toMatchObject({ id: 'film' })
  for (const part of [2, 3]) {
    const payload = record.payload.subarray((part - 1) * PART_BYTES, part * PART_BYTES)
    const proof = await proofOf(entries, part - 1)
    expect(() => checkPayloadProof(proof, payload, policy)).toThrow(
      `proof: expected the first entry of a record, found part ${part}/3`,
    )
  }
})
