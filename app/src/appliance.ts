/** `service-fs serve --envelope b`: one tenant's ledger on a disk image, in the format of the seL4 appliance. */
import { dirname, join } from 'node:path'
import { openDisk, type Disk } from '@service-fs/engine-host/disk'
import { startService, type Service } from '@service-fs/engine-host/service'
import { nativeCrypto } from '@service-fs/native/native'
import { verifierFromVkey, type KeySigner } from '@service-fs/tlog/keys'
import { checkListen, OPEN } from '@service-fs/access/listen-rule'
import type { DiskConfig } from './serve-config.ts'
import { HostedError } from '@service-fs/http/errors'
import {
  AUDIT_KEY,
  LEDGER_KEY,
  openSigner,
  refuseUsed,
  secretDir,
  chooseOrigin,
} from '@service-fs/hosted/tenant/keys'
import { acceptCommand, MarkFile } from '@service-fs/hosted/tenant/mark-file'
import type { Served } from '@service-fs/hosted/tenant/serve'
import { VERSION } from '@service-fs/hosted/version'

/**
 * Opens the disk, or creates it together with the keys, and listens.
 * @throws HostedError `key`, `usage`, `listen`; PsdbHostError `not-built`; StorageError `locked`, `corrupt`, `io`
 */
export async function startAppliance(config: DiskConfig, log: (line: string) => void): Promise<Served> {
  const { moduleId, listen } = config
  checkListen(listen, OPEN)
  const disk = await openDisk({
    disk: config.disk,
    size: config.size,
    moduleId,
    report: (message) => log(storeLine(message)),
  })
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => undefined)
  const opened: Closable[] = [disk]
  try {
    const origin = chooseOrigin(disk.origin, config)
    const paths = [LEDGER_KEY, AUDIT_KEY].map((key) => join(secretDir(dirname(config.disk), moduleId), key))
    const signers = await openSigners(config, disk, origin, paths)
    const marks = signers.map((signer, i) =>
      markOf(config, signer, paths[i] as string, i === 0 ? 'main' : 'audit'),
    )
    opened.push(...marks)
    const [main, audit] = marks as [MarkFile, MarkFile]
    const service = await listening(config, () =>
      startService({
        config: { moduleId, origin, version: VERSION, anyHostName: 'path' in listen },
        signers,
        marks: [
          { mark: main, accept: config.acceptSizes?.main },
          { mark: audit, accept: config.acceptSizes?.audit },
        ],
        listen,
        channel: disk.channel,
        log,
        failed: fail,
      }),
    )
    let stopping: Promise<void> | undefined
    const stop = (): Promise<void> => (stopping ??= stopAll(service, opened))
    const [vkey, auditVkey] = signers.map((signer) => signer.vkey) as [string, string]
    return { url: service.url, origin, vkey, auditVkey, place: { disk: config.disk }, failed, stop }
  } catch (error) {
    await closeAll(opened).catch(() => undefined)
    throw error
  }
}

/** Opens the signers of the ledger and of the audit sub-ledger. Rejects a key that has signed a ledger that is not on the disk. */
async function openSigners(
  { disk: image }: DiskConfig,
  { origin: stored, isBegun }: Disk,
  origin: string,
  [main = '', audit = '']: readonly string[],
): Promise<[KeySigner, KeySigner]> {
  if (!isBegun.main) await refuseUsed(main, image)
  if (!isBegun.audit) await refuseUsed(audit, image)
  const mayCreate = stored === undefined
  return [await openSigner(main, origin, mayCreate), await openSigner(audit, `${origin}/audit`, mayCreate)]
}

async function listening({ listen }: DiskConfig, start: () => Promise<Service>): Promise<Service> {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const where = 'path' in listen ? listen.path : `${listen.host}:${listen.port}`
    throw new HostedError('listen', `can't listen on ${where}: ${error.message}`, { cause: error })
  }
}

interface Closable {
  close(): Promise<void>
}

/** Closes the disk after the service, because the bundle publishes its checkpoint when it stops. */
async function stopAll(service: Service, opened: readonly Closable[]): Promise<void> {
  try {
    await service.stop()
  } finally {
    await closeAll(opened)
  }
}

/** Closes all parts, even if one of them fails. @throws the first error */
async function closeAll(opened: readonly Closable[]): Promise<void> {
  const closed = await Promise.allSettled(opened.map((one) => one.close()))
  for (const one of closed) if (one.status === 'rejected') throw one.reason
}

/** Returns the high-water mark of the ledger whose private key is in the file `key`. It is stored beside the key, as in Envelope A. */
function markOf(
  { moduleId, disk }: DiskConfig,
  { vkey, name }: KeySigner,
  key: string,
  ledger: 'main' | 'audit',
): MarkFile {
  const accept = (size: number): string => acceptCommand({ moduleId, disk }, { [ledger]: size })
  return new MarkFile({ key, origin: name, verifiers: [verifierFromVkey(vkey, nativeCrypto)], accept })
}

/**
 * Formats a message of the storage process as a log line. The message reports findings at opening, or the reason why the process stopped.
 */
function storeLine(message: string): string {
  return JSON.stringify({ time: new Date().toISOString(), level: 'info', name: 'psdb', message })
}
