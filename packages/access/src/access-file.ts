/** The file that `serve --access` names: `{"access": …, "tls": …}`, as in host.json. */
import { dirname } from 'node:path'
import * as v from 'valibot'
import { readGuarded } from './guarded-file.ts'
import { AccessConfig, TlsConfig, type AccessFiles } from './settings.ts'
import { parseStrictly } from './strict.ts'

const accessFile: v.GenericSchema<{ access: AccessConfig; tls?: TlsConfig }> = v.strictObject({
  access: AccessConfig,
  tls: v.exactOptional(TlsConfig),
})

/** What is in the file; paths in it are relative to it. @throws HostedError `access` */
export async function readAccessFile(path: string): Promise<AccessFiles & { from: readonly string[] }> {
  const found = parseStrictly(accessFile, await readGuarded(path, 'public'), path)
  return { ...found, base: dirname(path), from: [path] }
}
