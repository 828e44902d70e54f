/** Runs `service-fs serve`: one tenant's ledger, from start to a clean stop. */

export interface Output {
  out(text: string): Promise<void>
  /** Writes a line of the log. */
  err(line: string): void
}

/** An open ledger that answers requests. */
export interface Served {
  readonly url: string
  readonly origin: string
  readonly vkey: string
  /** The vkey of the audit sub-ledger. */
  readonly auditVkey: string
  /** The ledger's directory or disk image. */
  readonly place: { readonly dir: string } | { readonly disk: string }
  /** Rejects when the ledger can no longer be served; absent when every failure is reported by a response. */
  readonly failed?: Promise<never>
  /** Whether it requires credentials. */
  readonly guarded?: boolean
  /** Whether everybody may read, and reads are not recorded. */
  readonly publicReads?: boolean
  /** Reloads the configuration on SIGHUP; absent when nothing can be reloaded. Never rejects. */
  reload?(): Promise<void>
  /** Stops accepting requests, answers those in progress, and closes the ledgers. */
  stop(): Promise<void>
}

/** Runs the ledger that `start` opens until SIGTERM or SIGINT. Resolves after a clean stop; rejects when the ledger fails. */
export async function serve(
  moduleId: string,
  start: (log: (line: string) => void) => Promise<Served>,
  json: boolean,
  output: Output,
): Promise<void> {
  // All files created from now on, including the socket, are accessible only to their owner.
  process.umask(0o077)
  const served = await start((line) => output.err(line))
  const stopped = new Promise<void>((resolve, reject) => {
    const stop = (): void => void served.stop().then(resolve, reject)
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
    // The other end of the IPC channel is closed: the parent process has exited.
    process.once('disconnect', stop)
    process.channel?.unref()
  })
  if (served.reload !== undefined) process.on('SIGHUP', () => void served.reload?.())
  await output.out(json ? jsonGreeting(moduleId, served) : greeting(moduleId, served))
  try {
    await Promise.race([stopped, served.failed ?? stopped])
  } catch (error) {
    // Close the rest, so that the process can exit.
    await served.stop().catch(() => undefined)
    throw error
  }
}

function jsonGreeting(moduleId: string, { url, origin, vkey, auditVkey, place }: Served): string {
  const keys = { vkey, audit_vkey: auditVkey }
  return `${JSON.stringify({ url, module_id: moduleId, origin, ...keys, ...place, pid: process.pid })}\n`
}

const RECORDED = 'Append a record, read it back, and see the entry of that read in the audit ledger:'
const PUBLIC =
  'Append a record, read it back, and read the audit ledger. Reads are public and not recorded, except those of the audit ledger:'

function greeting(
  moduleId: string,
  { url, origin, vkey, auditVkey, place, guarded, publicReads = false }: Served,
): string {
  const to = url.startsWith('unix:') ? `curl --unix-socket ${url.slice(5)}` : 'curl'
  const curl = guarded === true ? `${to} -H "Authorization: Bearer $FS_TOKEN"` : to
  const base = url.startsWith('unix:') ? 'http://localhost/' : url
  return `service-fs serves ${moduleId} at ${url}
origin  ${origin}
vkey    ${vkey}
audit   ${auditVkey}
ledger  ${'dir' in place ? place.dir : place.disk}

${publicReads ? PUBLIC : RECORDED}

  ${curl} -H 'Content-Type: application/json' -d '{"payload_id":"hello-1","payload":{"hello":"world"}}' ${base}t/${moduleId}/v1/append
  ${publicReads ? to : curl} ${base}t/${moduleId}/v1/records/hello-1
  ${curl} ${base}t/${moduleId}/audit/v1/entries

${'dir' in place ? "README.txt in the ledger's directory" : `\`tar -xf\` unpacks the disk; ${moduleId}/README.txt`} says how to check it with cat, base64 and sha256sum. Ctrl-C stops.
`
}
