import { expect, it } from 'vitest'
import { clockSource, isClockSynchronized, type Run } from './clock.ts'

/** Runs these commands only; every other one is missing. */
function commands(outputs: Readonly<Record<string, string>>): Run {
  return async (command) => {
    const output = outputs[command]
    if (output === undefined) throw new Error(`spawn ${command} ENOENT`)
    return output
  }
}

/** `chronyc -c tracking`, whose last field is the leap status. */
const tracking = (leap: string): string =>
  `C0A80001,192.168.0.1,3,1700000000.1,0.1,0.0,0.1,-1.0,0.0,0.1,0.2,0.3,64.0,${leap}\n`

it.each<[string, Record<string, string>, boolean | undefined]>([
  ['timedatectl says yes', { timedatectl: 'yes\n' }, true],
  ['timedatectl says no', { timedatectl: 'no\n', chronyc: tracking('Normal') }, false],
  ['chronyd is synchronized', { chronyc: tracking('Normal') }, true],
  ['chronyd inserts a leap second', { timedatectl: '', chronyc: tracking('Insert second') }, true],
  ['chronyd is not synchronized', { chronyc: tracking('Not synchronised') }, false],
  ['chronyc finds no daemon', { chronyc: '506 Cannot talk to daemon\n' }, undefined],
  ['no program knows', {}, undefined],
])('the clock check reports a synchronized clock: %s', async (_, outputs, expected) => {
  expect(await isClockSynchronized(commands(outputs), () => false)).toBe(expected)
})

const onlyTimesync = (path: string): boolean => path === '/run/systemd/timesync/synchronized'

it('the clock check uses the file of systemd-timesyncd where no program reports the state', async () => {
  expect(await isClockSynchronized(commands({}), onlyTimesync)).toBe(true)
  expect(clockSource(onlyTimesync)).toBe('systemd-timesyncd')
  expect(clockSource((path) => path === '/run/chrony/chronyd.sock')).toBe('chronyd')
  expect(clockSource(() => false)).toBeUndefined()
})

it('the clock check runs the commands of this machine without failing', async () => {
  expect([true, false, undefined]).toContain(await isClockSynchronized())
})
