/** Who keeps this machine's clock right, as far as files say. */
import { existsSync } from 'node:fs'

/** There since the first synchronisation: systemd-timesyncd.service(8), systemd-time-wait-sync.service(8). */
const TIMESYNC = '/run/systemd/timesync/synchronized'
/** The sockets of chronyd and of ntpd's successors, while they run. */
const DAEMONS: Readonly<Record<string, string>> = {
  chronyd: '/run/chrony/chronyd.sock',
  ntpd: '/run/ntpd.pid',
  openntpd: '/run/ntpd.sock',
}

/** `service-fs doctor` asks the kernel (adjtimex(2)); a tenant's process loads no native code for that. */
export function clockSource(exists: (path: string) => boolean = existsSync): string | undefined {
  if (exists(TIMESYNC)) return 'systemd-timesyncd'
  return Object.keys(DAEMONS).find((name) => exists(DAEMONS[name] as string))
}
