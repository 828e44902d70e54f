/** Reads the author's signature of a record from a file. */
import { open } from 'node:fs/promises'
import { ClientError } from '@service-fs/client/errors'
import { MAX_SIGNATURE_BYTES } from '@service-fs/format/author'
import { messageOf } from '@service-fs/format/errors'

/** The first byte of a DER SEQUENCE. */
const SEQUENCE = 0x30
const DETACHED = /^[\w-]+\.\.[\w-]+$/

/** Returns the signature in a file in the form of a request: a JWS as it is, a CMS signature in base64. @throws ClientError `file` */
export async function readSignature(file: string): Promise<string> {
  const bytes = await readAtMost(file, MAX_SIGNATURE_BYTES + 1)
  if (bytes.length > MAX_SIGNATURE_BYTES)
    throw new ClientError(
      'file',
      `${file}: expected a signature of at most ${MAX_SIGNATURE_BYTES} bytes, found more`,
    )
  if (bytes[0] === SEQUENCE) return bytes.toString('base64')
  const text = bytes.toString('latin1').trimEnd()
  if (DETACHED.test(text)) return text
  throw new ClientError(
    'file',
    `${file}: expected a detached JWS in compact form, or a CMS signature in DER (openssl cms -outform DER)`,
  )
}

async function readAtMost(file: string, limit: number): Promise<Buffer> {
  try {
    const handle = await open(file)
    try {
      const buffer = Buffer.alloc(limit)
      let length = 0
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, limit - length)
        length += bytesRead
        if (bytesRead === 0 || length === limit) return buffer.subarray(0, length)
      }
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
}
