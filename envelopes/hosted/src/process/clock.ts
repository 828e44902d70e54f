/** Whether this machine's clock is synchronized, and by which program. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

/** This file exists once the clock was synchronized after boot: systemd-timesyncd.service(8). */
const TIMESYNC = '/run/systemd/timesync/synchronized'
/** Each of these files exists while the daemon runs. */
const DAEMONS: Readonly<Record<string, string>> = {
  chronyd: '/run/chrony/chronyd.sock',
  ntpd: '/run/ntpd.pid',
  openntpd: '/run/ntpd.sock',
}

/** Returns the name of the program that synchronizes the clock, if its files show that it runs. */
export function clockSource(exists: (path: string) => boolean = existsSync): string | undefined {
  if (exists(TIMESYNC)) return 'systemd-timesyncd'
  return Object.keys(DAEMONS).find((name) => exists(DAEMONS[name] as string))
}

/** Runs a command and returns its standard output; rejects when it fails. */
export type Run = (command: string, args: readonly string[]) => Promise<string>

/**
 * Reports whether the clock is synchronized; undefined when no program on this machine knows. `timedatectl` reports the kernel's
 * own state, whichever program sets it; it needs systemd. `chronyc` reports the state of chronyd.
 */
export async function isClockSynchronized(
  run: Run = runCommand,
  exists: (path: string) => boolean = existsSync,
): Promise<boolean | undefined> {
  const kernel = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value']).catch(() => '')
  if (/^(?:yes|no)$/.test(kernel.trim())) return kernel.trim() === 'yes'
  const tracking = await run('chronyc', ['-n', '-c', 'tracking']).catch(() => '')
  // The last field is the leap status.
  if (tracking.includes(',')) return tracking.trim().split(',').at(-1) !== 'Not synchronised'
  return exists(TIMESYNC) ? true : undefined
}

const COMMAND_MS = 3000

async function runCommand(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, {
    timeout: COMMAND_MS,
    env: { ...process.env, LC_ALL: 'C' },
  })
  return stdout
}
