/** The commands that this package adds to `service-fs`. Each is loaded on demand. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'

type Add = (program: Command, io: Io) => void

export const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  serve: async () => (await import('./serve-command.ts')).addServe,
  doctor: async () => (await import('@service-fs/hosted/doctor/command')).addDoctor,
  openapi: async () => (await import('@service-fs/hosted/tenant/openapi-command')).addOpenApi,
  host: async () => (await import('@service-fs/hosted/host/host-command')).addHost,
  front: async () => (await import('@service-fs/hosted/host/front-process')).addFront,
  tenant: async () => (await import('@service-fs/hosted/host/tenant-command')).addTenant,
  token: async () => (await import('@service-fs/hosted/token/command')).addToken,
}
