import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readSignature } from './signature-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'signature-file-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name)
  writeFileSync(path, content)
  return path
}

it('a JWS is sent as it is, and a CMS signature in base64', async () => {
  expect(await readSignature(file('a.jws', 'eyJ9..c2ln\n'))).toBe('eyJ9..c2ln')
  expect(await readSignature(file('a.p7s', Buffer.from([0x30, 0x01, 0xff])))).toBe('MAH/')
})

it.each([
  [
    'PEM',
    '-----BEGIN CMS-----\nMAH/\n-----END CMS-----\n',
    'expected a detached JWS in compact form, or a CMS',
  ],
  ['a JWS with its payload', 'eyJ9.e30.c2ln', 'expected a detached JWS in compact form'],
  ['nothing', '', 'expected a detached JWS in compact form'],
  ['too much', new Uint8Array(65_537).fill(0x30), 'expected a signature of at most 65536 bytes, found more'],
])('a file with %s is refused', async (name, content, message) => {
  await expect(readSignature(file(name, content))).rejects.toMatchObject({
    code: 'file',
    message: expect.stringContaining(message),
  })
})

it('a missing file is named', async () => {
  await expect(readSignature(join(dir, 'none'))).rejects.toThrow('none')
})
