/** The commands that this package adds to `service-fs`. Each is loaded on demand. */
import type { AddCommand } from '@service-fs/cli/command-loaders'

export const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  serve: async () => (await import('./serve-command.ts')).addServe,
  doctor: async () => (await import('@service-fs/hosted/doctor/command')).addDoctor,
  upgrade: async () => (await import('@service-fs/hosted/upgrade/command')).addUpgrade,
  openapi: async () => (await import('@service-fs/hosted/tenant/openapi-command')).addOpenApi,
  host: async () => (await import('@service-fs/hosted/host/host-command')).addHost,
  front: async () => (await import('@service-fs/hosted/host/front-process')).addFront,
  tenant: async () => (await import('@service-fs/hosted/host/tenant-command')).addTenant,
  token: async () => (await import('@service-fs/hosted/token/command')).addToken,
}
