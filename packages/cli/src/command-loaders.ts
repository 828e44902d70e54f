/** Loads one client command without the modules of the other commands, so that it starts sooner. */
import type { Command } from 'commander'
import type { Io } from './io.ts'

/** Adds a command to a program. */
export type AddCommand = (program: Command, io: Io) => void

/** Every client command by its name, except `completion` and `man`, which describe the whole program. */
export const CLIENT_COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  keygen: async () => (await import('./commands/keygen.ts')).addKeygen,
  append: async () => (await import('./commands/append.ts')).addAppend,
  get: async () => (await import('./commands/get.ts')).addGet,
  ls: async () => (await import('./commands/ls.ts')).addLs,
  search: async () => (await import('./commands/search.ts')).addSearch,
  follow: async () => (await import('./commands/follow.ts')).addFollow,
  proof: async () => (await import('./commands/proof.ts')).addProof,
  verify: async () => (await import('./commands/verify.ts')).addVerify,
  algorithms: async () => (await import('./commands/algorithms.ts')).addAlgorithms,
  'verify-proof': async () => (await import('./commands/verify-proof.ts')).addVerifyProof,
  audit: async () => (await import('./commands/audit.ts')).addAudit,
  clock: async () => (await import('./commands/clock.ts')).addClock,
  examine: async () => (await import('./commands/examine.ts')).addExamine,
  retention: async () => (await import('./commands/retention.ts')).addRetention,
  rehash: async () => (await import('./commands/rehash.ts')).addRehash,
  export: async () => (await import('./commands/export.ts')).addExport,
  restore: async () => (await import('./commands/restore.ts')).addRestore,
  mirror: async () => (await import('./commands/mirror.ts')).addMirror,
  repair: async () => (await import('./commands/repair.ts')).addRepair,
  drill: async () => (await import('./commands/drill.ts')).addDrill,
  readme: async () => (await import('./commands/readme.ts')).addReadme,
  provision: async () => (await import('./commands/provision.ts')).addProvision,
}
