/** The commands that this package adds to `service-fs`, each loaded when it is asked for. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'

type Add = (program: Command, io: Io) => void

export const COMMANDS: Readonly<Record<string, () => Promise<Add>>> = {
  serve: async () => (await import('./command.ts')).addServe,
  doctor: async () => (await import('./doctor/command.ts')).addDoctor,
  openapi: async () => (await import('./tenant/openapi-command.ts')).addOpenApi,
  host: async () => (await import('./host/host-command.ts')).addHost,
  front: async () => (await import('./host/front-command.ts')).addFront,
  tenant: async () => (await import('./host/tenant-command.ts')).addTenant,
  token: async () => (await import('./token/command.ts')).addToken,
}
