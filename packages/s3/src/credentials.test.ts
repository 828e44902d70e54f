import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readCredentials } from './credentials.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-fs-s3-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const FILE = '[default]\naws_access_key_id = A\naws_secret_access_key=hunter2\n[half]\naws_access_key_id=B\n'

async function file(mode: number): Promise<string> {
  const path = join(dir, 'credentials')
  await writeFile(path, FILE)
  await chmod(path, mode)
  return path
}

const failure = (env: Record<string, string>): Promise<string> =>
  readCredentials(env).then(String, (error: Error) => error.message)

describe('credentials', () => {
  it('come from the environment before the file', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'E', AWS_SECRET_ACCESS_KEY: 's', AWS_SESSION_TOKEN: 't' }
    const path = await file(0o600)
    expect(await readCredentials({ ...env, AWS_SHARED_CREDENTIALS_FILE: path })).toEqual({
      accessKeyId: 'E',
      secretAccessKey: 's',
      sessionToken: 't',
    })
    expect(await readCredentials({ AWS_SHARED_CREDENTIALS_FILE: path })).toEqual({
      accessKeyId: 'A',
      secretAccessKey: 'hunter2',
    })
  })

  it('must be whole, and in a file that only its owner reads', async () => {
    const path = await file(0o640)
    expect(await failure({ AWS_SHARED_CREDENTIALS_FILE: path })).toBe(
      `s3: ${path}: expected a mode such as 0600, readable only by its owner, found 0640`,
    )
    await chmod(path, 0o600)
    expect(await failure({ AWS_SHARED_CREDENTIALS_FILE: path, AWS_PROFILE: 'half' })).toBe(
      `s3: ${path}, profile half: expected AWS_SECRET_ACCESS_KEY, found none`,
    )
    expect(await failure({ AWS_SHARED_CREDENTIALS_FILE: join(dir, 'none') })).toContain('ENOENT')
    expect(await failure({ AWS_ACCESS_KEY_ID: 'A' })).toContain('expected AWS_SECRET_ACCESS_KEY')
    expect(await failure({})).toContain('AWS_SHARED_CREDENTIALS_FILE')
    const split = await failure({ AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'hunter2\nx: y' })
    expect(split).toBe('s3: the environment: expected keys of printable ASCII without spaces')
  })
})
