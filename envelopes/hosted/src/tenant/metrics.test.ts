import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StorageCapability } from '@service-fs/storage/capability'
import { MemoryStorage } from '@service-fs/storage/memory'
import { StorageError } from '@service-fs/storage/errors'
import { afterEach, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'
import { Metrics } from './metrics.ts'

let daemon: Daemon | undefined
let root: string | undefined
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
  if (root !== undefined) await rm(root, { recursive: true, force: true })
  root = undefined
})

/** Returns the value of tenant acme's series with these labels, in any order. */
function valueOf(text: string, name: string, ...labels: string[]): number | undefined {
  const wanted = [...labels, 'tenant="acme"'].toSorted().join()
  for (const [, series, found = '', value] of text.matchAll(/^(\w+)\{([^}]*)\} (\S+)$/gm))
    if (series === name && found.split(',').toSorted().join() === wanted) return Number(value)
  return undefined
}

it('/metrics shows a tenant’s metrics, each series with the tenant as a label', async () => {
  root = await mkdtemp(join(tmpdir(), 'metrics-'))
  const listen = { host: '127.0.0.1', port: 0 }
  daemon = await start({ moduleId: 'acme', root, listen, origin: undefined }, () => undefined)
  const base = `${daemon.url}t/acme/v1`
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ payload_id: 'a', payload: { secret: 'in the payload' } })
  expect((await fetch(`${base}/append`, { method: 'POST', headers, body })).status).toBe(200)
  expect((await fetch(`${base}/entries/1`)).status).toBe(200)
  const text = await (await fetch(`${daemon.url}metrics`)).text()

  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  for (const line of series) expect(line).toContain('tenant="acme"')
  expect(text).not.toContain('payload')
  const at = (name: string, ...labels: string[]): number | undefined => valueOf(text, name, ...labels)
  expect(at('service_fs_tree_size', 'ledger="main"')).toBe(1)
  expect(at('service_fs_tree_size', 'ledger="audit"')).toBe(1)
  expect(at('service_fs_append_seconds_count', 'ledger="main"')).toBe(1)
  expect(at('service_fs_append_seconds_count', 'ledger="audit"')).toBe(1)
  expect(at('service_fs_commit_seconds_count', 'ledger="main"')).toBe(1)
  expect(at('service_fs_queue_entries', 'ledger="main"')).toBe(0)
  expect(at('service_fs_audit_lag_seconds')).toBe(0)
  expect(at('service_fs_sync_seconds_count', 'ledger="main"', 'what="file"')).toBeGreaterThan(0)
  expect(at('service_fs_sync_seconds_sum', 'ledger="main"', 'what="file"')).toBeGreaterThan(0)
  expect(at('service_fs_storage_seconds_count', 'ledger="audit"', 'verb="begin_tail"')).toBe(1)
  expect(at('service_fs_disk_free_bytes')).toBeGreaterThan(0)
  expect(at('process_cpu_seconds_total')).toBeGreaterThan(0)
  expect(at('process_resident_memory_bytes')).toBeGreaterThan(2 ** 20)
})

it('/metrics counts failed storage operations by verb and code', async () => {
  const metrics = new Metrics('acme')
  const storage: StorageCapability = new MemoryStorage()
  storage.commit = storage.publish = () => Promise.reject(new StorageError('full', 'tail/0: no space'))
  const timed = metrics.timed(storage, 'audit')
  await expect(timed.commit(1, new Uint8Array(1))).rejects.toMatchObject({ code: 'full' })
  await expect(timed.publish(new Uint8Array(1))).rejects.toMatchObject({ code: 'full' })
  await expect(timed.publish(new Uint8Array(1))).rejects.toMatchObject({ code: 'full' })
  const text = await metrics.text()
  const failures = (verb: string): number | undefined =>
    valueOf(text, 'service_fs_storage_failures_total', 'ledger="audit"', `verb="${verb}"`, 'code="full"')
  expect([failures('commit'), failures('publish'), failures('seal')]).toEqual([1, 2, undefined])
  expect(text).not.toMatch(/^service_fs_storage_seconds_count/m)
})

it('/metrics shows how long the oldest read waits to be recorded', async () => {
  const metrics = new Metrics('acme')
  metrics.watch({}, tmpdir())
  const observer = metrics.observer('audit')
  const answered = observer.appending?.()
  await new Promise((resolve) => setTimeout(resolve, 20))
  observer.appending?.()()
  const lag = async (): Promise<number | undefined> =>
    valueOf(await metrics.text(), 'service_fs_audit_lag_seconds')
  expect(await lag()).toBeGreaterThan(0.015)
  answered?.()
  expect(await lag()).toBe(0)
})
