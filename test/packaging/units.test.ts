// The systemd units and the script of FreeBSD's rc.d, checked without installing them.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'

const packaging = join(repoRoot, 'packaging')
const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const units = readdirSync(join(packaging, 'systemd'))

/** The highest exposure, of 10, that `systemd-analyze security` may report. */
const MOST_EXPOSED = 2

describe.skipIf(!has('systemd-analyze'))('systemd units (skipped where systemd-analyze is missing)', () => {
  it.each(units.filter((unit) => unit.endsWith('.service')))(
    `%s is exposed ${MOST_EXPOSED}.0 at most`,
    (unit) => {
      const args = ['security', '--offline=true', '--no-pager', `--threshold=${MOST_EXPOSED * 10}`]
      const { status, stdout } = spawnSync('systemd-analyze', [...args, join(packaging, 'systemd', unit)], {
        encoding: 'utf8',
      })
      expect({ status, level: /exposure level for \S+: (\S+)/.exec(stdout)?.[1] }).toMatchObject({
        status: 0,
      })
    },
  )
})

it('the units start existing commands', () => {
  const services = units.filter((unit) => unit.endsWith('.service'))
  const started = services.map((unit) => {
    const text = readFileSync(join(packaging, 'systemd', unit), 'utf8')
    return /^ExecStart=\/usr\/bin\/service-fs (\S+)/m.exec(text)?.[1]
  })
  expect(new Set(started)).toEqual(new Set(['host', 'serve', 'mirror', 'drill']))
})

it('each timer starts a service that exists', () => {
  const timers = units.filter((unit) => unit.endsWith('.timer'))
  expect(timers).toEqual(['service-fs-drill@.timer', 'service-fs-mirror@.timer'])
  for (const timer of timers) {
    expect(units).toContain(timer.replace('.timer', '.service'))
    expect(readFileSync(join(packaging, 'systemd', timer), 'utf8')).toMatch(/^OnCalendar=/m)
  }
})

describe('shell scripts', () => {
  const scripts = ['debian/service-fs', 'debian/postinst', 'debian/prerm', 'debian/postrm', 'rc.d/service_fs']

  it.each(scripts)('%s is a valid sh script', (script) => {
    const { status, stderr } = spawnSync('sh', ['-n', join(packaging, script)], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it.skipIf(!has('shellcheck')).each(scripts)(
    '%s passes shellcheck (skipped where shellcheck is missing)',
    (script) => {
      // rc.d's scripts set variables that rc.subr reads.
      const { stdout } = spawnSync(
        'shellcheck',
        ['-s', 'sh', '-e', 'SC1091,SC2034', join(packaging, script)],
        {
          encoding: 'utf8',
        },
      )
      expect(stdout).toBe('')
    },
  )
})
