/** The files of a pack that prove that the audit sub-ledger recorded it. */
import { nativeCodec } from '@service-fs/native/native'
import type { PackOutput } from './output.ts'
import type { PackOptions } from './packed.ts'

/** The paths of these files, as members of the report. */
export const AUDIT_FILES = {
  file: 'audit/examination.json',
  proof: 'audit/examination.json.tlog-proof',
  keys_file: 'audit/keys.txt',
} as const

export async function putAudit(recorded: PackOptions['recorded'], output: PackOutput): Promise<void> {
  if (typeof recorded !== 'object') return
  await output.put(AUDIT_FILES.file, recorded.payload)
  await output.put(AUDIT_FILES.proof, nativeCodec.utf8Encode(recorded.proof))
  await output.put(AUDIT_FILES.keys_file, nativeCodec.utf8Encode(`${recorded.vkeys.join('\n')}\n`))
}
