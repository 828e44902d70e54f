// Builds dist/psdb-host, PSDB as a process. If a tool is missing, prints its name and removes dist/.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const out = fileURLToPath(new URL('dist', import.meta.url))
const source = fileURLToPath(new URL('../../../microkit/psdb', import.meta.url))
const cc = process.env.CC ?? 'cc'

const missing = [!runs('make', ['--version']) && 'make', !runs(cc, ['--version']) && `a C compiler (${cc})`]
if (!missing[1] && !runs(cc, ['-E', '-'], '#include <openssl/sha.h>\n'))
  missing.push('the OpenSSL headers (libssl-dev, openssl-devel)')

const names = missing.filter(Boolean)
if (names.length > 0) {
  rmSync(out, { recursive: true, force: true })
  console.log(`psdb-host is not built (Envelope B on this host needs it): missing ${names.join(', ')}`)
} else {
  mkdirSync(out, { recursive: true })
  const args = ['--no-print-directory', '-s', '-C', source, `OUT=${out}`, `CC=${cc}`, 'host']
  process.exitCode = spawnSync('make', args, { stdio: 'inherit' }).status ?? 1
}

function runs(command, args, input = '') {
  return spawnSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0
}
