/** Adds `host` to the command line. It runs the supervisor until SIGTERM or SIGINT. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform, USAGE } from '@service-fs/cli/perform'
import { HostedError } from '@service-fs/http/errors'
import { createLog } from '../process/log.ts'
import { inheritedSockets, type Inherited } from '@service-fs/http/socket-activation'
import { Supervisor } from './supervisor.ts'
import { canConfine } from './confine.ts'
import { isRoot } from './uids.ts'

interface HostFlags {
  config: string
  listen?: string
  json?: boolean
}

export function addHost(program: Command, io: Io): void {
  program
    .command('host')
    .description(
      'run many tenants, each in its own process, behind one front; SIGHUP reads the configuration again',
    )
    .requiredOption('--config <file>', 'host.json')
    .option(
      '--listen <systemd>',
      'systemd: use the sockets of a .socket unit instead of `listen` in host.json',
    )
    .option('--json', 'print the addresses as one line of JSON')
    .action((flags: HostFlags) => perform(io, flags.json, () => host(flags, io)))
}

async function host(flags: HostFlags, io: Io): Promise<number> {
  process.umask(0o022)
  try {
    const log = createLog({ name: 'supervisor', write: (line) => io.err(line) })
    const supervisor = await Supervisor.start({
      file: flags.config,
      program: process.argv[1] ?? '',
      log,
      ...givenSockets(flags),
    })
    const stopped = untilStopped(supervisor)
    process.on('SIGHUP', () => void supervisor.reload())
    await io.out(flags.json === true ? jsonGreeting(supervisor) : greeting(supervisor, flags.config))
    await stopped
    return 0
  } catch (error) {
    if (!(error instanceof HostedError && ['usage', 'config'].includes(error.code))) throw error
    io.err(`service-fs: ${error.message}`)
    return USAGE
  }
}

function givenSockets({ listen }: HostFlags): { given?: Inherited[] } {
  if (listen === undefined) return {}
  if (listen !== 'systemd')
    throw new HostedError('usage', `--listen: expected systemd, found ${listen}; addresses are in host.json`)
  return { given: inheritedSockets(process.env, process.pid) }
}

function untilStopped(supervisor: Supervisor): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping: Promise<void> | undefined
    const stop = (): void => {
      stopping ??= supervisor.stop()
      stopping.then(resolve, reject)
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
}

function jsonGreeting({ urls, config, frontPid }: Supervisor): string {
  const { root, run, tenants } = config
  return `${JSON.stringify({ urls, root, run, tenants: tenants.length, separate_users: isRoot(), pid: process.pid, front_pid: frontPid })}\n`
}

function greeting({ urls, config }: Supervisor, file: string): string {
  const { root, tenants } = config
  const users = isRoot()
    ? 'each tenant runs as a separate user'
    : `all tenants run as this user (uid ${process.getuid?.()}), so file modes do not separate them; start as root to separate them`
  const limits = canConfine()
    ? ''
    : '\nlimits   none on this system: no_new_privs and resource limits need Linux'
  return `service-fs hosts ${tenants.length} tenant${tenants.length === 1 ? '' : 's'} at ${urls.join(' ')}
ledgers  ${root}
users    ${users}${limits}

A tenant's process starts when it is asked for. Add one with
  service-fs tenant add ID --config ${file}
Ctrl-C stops all of them.
`
}
