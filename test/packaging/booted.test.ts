// Tests the units under systemd, which boots over a copy-on-write view of this machine, in its own namespaces, with the package
// installed. Writes go to memory and vanish with the namespaces.
import { spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt } from '../support/daemon.ts'
import { end, run, sleep } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

const SYSTEMD = '/lib/systemd/systemd'
const work = mkdtempSync(join(tmpdir(), 'fs-boot-'))

/** The mount point of cgroup v2, which systemd needs. */
function cgroups(): string | undefined {
  const mounts = existsSync('/proc/self/mounts') ? readFileSync('/proc/self/mounts', 'utf8') : ''
  return /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1]
}

/** $1: a directory for its output; $2: its control group; $3: a script to run in it. */
const BOOT = `set -e
echo $$ > "$2/cgroup.procs"
exec unshare -m -p -n -u -i -C -f --kill-child sh -ec '
mount -t tmpfs none "$1/at"; mkdir "$1/at/up" "$1/at/work" "$1/at/root"; R=$1/at/root
mount -t overlay none -o "lowerdir=/,upperdir=$1/at/up,workdir=$1/at/work" "$R"
mount -t proc proc "$R/proc"; mount -t sysfs sysfs "$R/sys"; mount -t cgroup2 none "$R/sys/fs/cgroup"
mount -t tmpfs none "$R/run"; mount -t tmpfs none "$R/tmp"; mount -t tmpfs none "$R/dev"
mkdir "$R/run/lock" "$R/dev/pts" "$R/dev/shm" "$R/dev/mqueue" "$R/dev/hugepages" "$R/seen" "$R/old"
for n in null zero full random urandom tty; do touch "$R/dev/$n"; mount --bind "/dev/$n" "$R/dev/$n"; done
mount -t devpts none "$R/dev/pts" -o newinstance,ptmxmode=666; mount -t tmpfs none "$R/dev/shm"
ln -s pts/ptmx "$R/dev/ptmx"; ln -s /proc/self/fd "$R/dev/fd"; touch "$R/dev/console"
mount --bind "$1/seen" "$R/seen"
[ -z "$2" ] || chroot "$R" dpkg -i "/seen/package.deb" >/dev/null
rm -rf "$R"/lib/systemd/system/*.wants "$R"/etc/systemd/system/*.wants "$R"/lib/systemd/system-generators/* "$R"/etc/systemd/system-generators
printf "[Unit]\\nDefaultDependencies=no\\nWants=try.service\\n" > "$R/etc/systemd/system/try.target"
printf "[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=oneshot\\nExecStart=/bin/sh /seen/try.sh\\nStandardOutput=append:/seen/out\\nStandardError=append:/seen/err\\n" > "$R/etc/systemd/system/try.service"
ip link set lo up
cd "$R"; pivot_root . old
exec chroot . /bin/sh -c "umount -l /old; exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test ${SYSTEMD} --system --unit=try.target"
' sh "$1" "$3"`

/** Boots, runs the script as a service, and returns the lines that it printed, by the first word of each. */
async function booted(
  name: string,
  script: string,
  deb: string,
  limitMs: number,
): Promise<Map<string, string>> {
  const at = join(work, name)
  const seen = join(at, 'seen')
  const group = join(cgroups() ?? '', `service-fs-test-${process.pid}-${name}`)
  for (const dir of [at, join(at, 'at'), seen, group]) mkdirSync(dir)
  if (deb !== '') writeFileSync(join(seen, 'package.deb'), readFileSync(deb))
  writeFileSync(join(seen, 'out'), '')
  writeFileSync(join(seen, 'try.sh'), `${script}\necho "done yes"\n`)
  const child = spawn('sh', ['-c', BOOT, 'sh', at, group, deb], { stdio: 'ignore' })
  const out = (): string => readFileSync(join(seen, 'out'), 'utf8')
  for (
    let waited = 0;
    waited < limitMs && !out().includes('done yes') && child.exitCode === null;
    waited += 100
  )
    await sleep(100)
  await end(child, 'SIGKILL')
  await removeGroup(group)
  return new Map(
    out()
      .split('\n')
      .map((line) => [line.split(' ', 1)[0] ?? '', line.replace(/^\S+ /, '')]),
  )
}

/** Removes the control group, with retries: its processes may still be exiting. */
async function removeGroup(group: string): Promise<void> {
  for (let tries = 0; existsSync(group) && tries < 50; tries++) {
    try {
      const below = readdirSync(group, { withFileTypes: true, recursive: true }).filter((e) =>
        e.isDirectory(),
      )
      for (const dir of below.toReversed()) rmdirSync(join(dir.parentPath, dir.name))
      rmdirSync(group)
    } catch {
      await sleep(100)
    }
  }
}

const mayBoot = process.getuid?.() === 0 && existsSync(SYSTEMD) && cgroups() !== undefined
const canBoot =
  mayBoot &&
  spawnSync('dpkg-deb', ['--version']).status === 0 &&
  (await booted('probe', 'true', '', 10_000)).get('done') === 'yes'

const POST = `curl -sS -m 20 -H content-type:application/json -d '{"payload_id":"a","payload":1}'`
const ALONE = `systemctl start service-fs@acme.socket
unix='--unix-socket /run/service-fs@acme.socket'
echo "append $(${POST} $unix http://localhost/t/acme/v1/append)"
pid=$(systemctl show -P MainPID service-fs@acme.service)
echo "uid $(awk '/^Uid/{print $2}' /proc/$pid/status)"
echo "capabilities $(awk '/^CapBnd/{print $2}' /proc/$pid/status)"
echo "interfaces $(tail -n +3 /proc/$pid/net/dev | wc -l)"
echo "mode $(stat -Lc %a /var/lib/private/service-fs@acme)"
systemctl stop service-fs@acme.service
echo "result $(systemctl show -P Result service-fs@acme.service)"
echo "again $(${POST} $unix http://localhost/t/acme/v1/append)"
echo "uid-again $(awk '/^Uid/{print $2}' /proc/$(systemctl show -P MainPID service-fs@acme.service)/status)"
`
// The view hides an earlier installation; the machine keeps it.
const HOST = `rm -rf /var/lib/service-fs /etc/service-fs/host.json
service-fs tenant add one two --config /etc/service-fs/host.json --root /var/lib/service-fs >&2
systemctl start service-fs-host-metrics.socket service-fs-host.socket
url=http://127.0.0.1:8080
echo "append $(${POST} $url/t/one/v1/append)"
echo "read $(curl -sS -m 20 $url/t/one/v1/records/a)"
echo "other $(${POST} $url/t/two/v1/append)"
echo "ready $(curl -sS -m 20 $url/t/one/readyz)"
echo "up $(curl -sS -m 20 http://127.0.0.1:9464/metrics | grep -c '^service_fs_tenant_up{.*} 1$')"
pid=$(systemctl show -P MainPID service-fs-host.service)
echo "users $(ps -eo uid,args | awk '/[s]ervice-fs.js/{print $1}' | tr '\\n' ' ')"
echo "interfaces $(tail -n +3 /proc/$pid/net/dev | wc -l)"
systemctl restart service-fs-host.service
echo "checkpoint $(curl -sS -m 20 $url/t/one/v1/checkpoint | sed -n 2p)"
systemctl stop service-fs-host.socket service-fs-host-metrics.socket service-fs-host.service
echo "result $(systemctl show -P Result service-fs-host.service)"
echo "left $(ps -eo args | grep -c '[s]ervice-fs.js')"
service-fs verify /var/lib/service-fs/one >&2; echo "verified $?"
`
// The timers run at once instead of at their times.
const TIMERS = `rm -rf /var/lib/service-fs /etc/service-fs /var/lib/private/service-fs-mirror
service-fs tenant add one --config /etc/service-fs/host.json --root /var/lib/service-fs --policy-out /root/one.policy >&2
systemctl start service-fs-host.socket
url=http://127.0.0.1:8080/t/one
${POST} $url/v1/append >&2
mkdir -m 700 /var/lib/exports && service-fs export $url/ --out /var/lib/exports/1.tar >&2
mkdir -p /etc/service-fs/drill /etc/service-fs/mirror
keys=$(awk '/^log/{print "VKEY=" $2}' /root/one.policy | sed '2s/^/AUDIT_/')
printf "EXPORTS=/var/lib/exports\\nFS_URL=$url/\\n$keys\\n" > /etc/service-fs/drill/one.conf
printf "SOURCE=$url/\\n$keys\\n" > /etc/service-fs/mirror/one.conf
for unit in drill mirror; do
  mkdir -p /etc/systemd/system/service-fs-$unit@.timer.d
  printf "[Timer]\\nOnCalendar=\\nOnActiveSec=1\\nAccuracySec=100ms\\nRandomizedDelaySec=0\\n" > /etc/systemd/system/service-fs-$unit@.timer.d/now.conf
  mkdir -p /etc/systemd/system/service-fs-$unit@.service.d
  printf "[Service]\\nStandardError=append:/seen/err\\n" > /etc/systemd/system/service-fs-$unit@.service.d/err.conf
done
systemctl daemon-reload
# Starts a timer, and returns when the service that the timer started has ended.
fire() {
  systemctl start service-fs-$1@one.timer
  for i in $(seq 300); do
    [ -n "$(systemctl show -P ExecMainExitTimestamp service-fs-$1@one.service)" ] && break
    sleep 0.2
  done
  systemctl stop service-fs-$1@one.timer
  echo "$2 $(systemctl show -P Result service-fs-$1@one.service) $(systemctl show -P ExecMainStatus service-fs-$1@one.service)"
}
fire mirror mirrored
service-fs verify /var/lib/private/service-fs-mirror/one --policy /root/one.policy >&2; echo "mirror $?"
fire drill drilled
curl -sS -m 20 "$url/v1/entries?since=1" > /tmp/drills
echo "recorded $(grep -c '"outcome":"passed"' /tmp/drills)"
good=$(sha256sum < /var/lib/exports/1.tar)
dd if=/var/lib/exports/1.tar of=/var/lib/exports/2.tar bs=512 count=9 2>/dev/null
systemctl reset-failed service-fs-drill@one.service 2>/dev/null
fire drill corrupt
curl -sS -m 20 "$url/v1/entries?since=2" > /tmp/drills
echo "reported $(grep -c '"outcome":"failed"' /tmp/drills)"
echo "good $([ "$good" = "$(sha256sum < /var/lib/exports/1.tar)" ] && echo unchanged)"
systemctl stop service-fs-host.socket service-fs-host.service
`

describe.skipIf(!canBoot)('under systemd (skipped without root, systemd, dpkg, overlayfs, cgroup2)', () => {
  let deb = ''
  beforeAll(async () => {
    expect(daemonBuilt).toBe(true)
    const done = await run(process.execPath, [join(repoRoot, 'packaging/deb.mjs'), '--out', work], {
      timeoutMs: 500_000,
    })
    expect(done.code, done.stderr).toBe(0)
    deb = done.stdout.trim()
  })

  it('service-fs@ serves one tenant: its own user, no capability, no network but its socket', async () => {
    const said = await booted('alone', ALONE, deb, 60_000)
    expect(Object.fromEntries(said)).toMatchObject({
      append: expect.stringContaining('"cursor":1,'),
      uid: expect.stringMatching(/^6\d{4}$/),
      capabilities: '0000000000000000',
      interfaces: '1',
      mode: '700',
      result: 'success',
      again: expect.stringContaining('"duplicate":true'),
      'uid-again': said.get('uid'),
      done: 'yes',
    })
  })

  it('service-fs-host runs the supervisor, a front and tenants that seal; it restarts and stops cleanly', async () => {
    const said = await booted('host', HOST, deb, 60_000)
    expect(Object.fromEntries(said)).toMatchObject({
      append: expect.stringContaining('"cursor":1,'),
      read: expect.stringContaining('"payload":1'),
      other: expect.stringContaining('"cursor":1,'),
      ready: expect.stringContaining('"ready":true'),
      up: '2',
      users: expect.stringMatching(/^0 70099 7010\d 7010\d $/),
      interfaces: '1',
      checkpoint: '1',
      result: 'success',
      left: '0',
      verified: '0',
      done: 'yes',
    })
    expect(said.get('ready')).toContain('"no_new_privileges":true')
  })

  it('the timers start a mirror and drills, whose results are in the ledger', async () => {
    const said = await booted('timers', TIMERS, deb, 120_000)
    const errors = readFileSync(join(work, 'timers/seen/err'), 'utf8')
    expect(Object.fromEntries(said), errors).toMatchObject({
      mirrored: 'success 0',
      mirror: '0',
      drilled: 'success 0',
      recorded: '1',
      corrupt: 'exit-code 1',
      reported: '1',
      good: 'unchanged',
      done: 'yes',
    })
  })
})

afterAll(() => rmSync(work, { recursive: true, force: true }))
