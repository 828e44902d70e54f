/** Credentials for a store: from the environment, or from a file that only its owner can read. */
import { open } from 'node:fs/promises'
import { codeOf } from '@service-fs/format/errors'
import { quoted } from '@service-fs/format/visible'
import { S3Error } from './errors.ts'

export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
  /** The token of temporary credentials. */
  sessionToken?: string
}

type Environment = Readonly<Record<string, string | undefined>>

const MAX_FILE_BYTES = 1 << 16

/**
 * Reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; without them, the profile `AWS_PROFILE` (default: `default`)
 * of the file `AWS_SHARED_CREDENTIALS_FILE`.
 * @throws S3Error `usage`, which shows no content of the environment or of the file
 */
export async function readCredentials(env: Environment): Promise<Credentials> {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env
  if (id !== undefined || secret !== undefined) return whole('the environment', id, secret, token)
  const path = env['AWS_SHARED_CREDENTIALS_FILE']
  if (path === undefined)
    throw new S3Error(
      'usage',
      's3: expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE, in the environment',
    )
  const profile = env['AWS_PROFILE'] ?? 'default'
  const found = parseProfile(await readSecret(path), profile)
  return whole(
    `${quoted(path)}, profile ${quoted(profile)}`,
    found.get('aws_access_key_id'),
    found.get('aws_secret_access_key'),
    found.get('aws_session_token'),
  )
}

function whole(place: string, id = '', secret = '', token = ''): Credentials {
  for (const [name, value] of [
    ['AWS_ACCESS_KEY_ID', id],
    ['AWS_SECRET_ACCESS_KEY', secret],
  ] as const)
    if (value === '') throw new S3Error('usage', `s3: ${place}: expected ${name}, found none`)
  // Such a value could not be sent in a header, and an error of fetch would show it.
  for (const value of [id, secret, token])
    if (!/^[\x21-\x7e]*$/.test(value))
      throw new S3Error('usage', `s3: ${place}: expected keys of printable ASCII without spaces`)
  return { accessKeyId: id, secretAccessKey: secret, ...(token === '' ? {} : { sessionToken: token }) }
}

async function readSecret(path: string): Promise<string> {
  try {
    const file = await open(path)
    try {
      const { mode, size } = await file.stat()
      if ((mode & 0o077) !== 0) {
        const found = (mode & 0o777).toString(8).padStart(4, '0')
        const expected = 'expected a mode such as 0600, readable only by its owner'
        throw new S3Error('usage', `s3: ${quoted(path)}: ${expected}, found ${found}`)
      }
      if (size > MAX_FILE_BYTES)
        throw new S3Error(
          'usage',
          `s3: ${quoted(path)}: expected at most ${MAX_FILE_BYTES} bytes, found ${size}`,
        )
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof S3Error) throw error
    throw new S3Error('usage', `s3: ${quoted(path)}: ${codeOf(error) ?? 'cannot be read'}`)
  }
}

/** Returns the values of one section of an INI file. */
function parseProfile(text: string, profile: string): Map<string, string> {
  const values = new Map<string, string>()
  let section = ''
  for (const line of text.split(/\r?\n/)) {
    section = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line)?.[1] ?? section
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (section === profile && name !== undefined && value !== undefined) values.set(name, value)
  }
  return values
}
