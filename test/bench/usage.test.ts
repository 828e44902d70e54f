import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseStat, watchUsage } from './usage.ts'

describe('parseStat', () => {
  // A line in the format of proc(5), with a name that contains spaces and parentheses.
  const line =
    '42 (a) b (c) S 7 42 42 0 -1 4194304 900 10 0 0 150 50 30 20 20 0 11 0 1234 1000000 2500 18446744073709551615'
  it('finds the parent and adds utime, stime, cutime and cstime', () =>
    expect(parseStat(line)).toEqual({ pid: 42, parent: 7, ticks: 250 }))
  it('returns undefined for other text', () => expect(parseStat('')).toBeUndefined())
})

describe.skipIf(!existsSync('/proc/self/stat'))('watchUsage', () => {
  it('counts the processor time and the memory of a child of the process', async () => {
    // The shell's child uses at least 0.2 s of processor time and 64 MiB, and stays until it has read a line.
    const script =
      'const kept = Buffer.alloc(64 << 20, 1); let sum = 0; while (process.cpuUsage().user < 2e5) for (let i = 0; i < 1e6; i++) sum += i; console.log(kept.length); fs.readSync(0, Buffer.alloc(1))'
    const child = spawn('sh', ['-c', '"$0" -e "$1"; read wait', process.execPath, script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const watch = watchUsage(child.pid ?? 0)
    await once(child.stdout, 'data')
    const { cpu, rss } = watch.stop()
    child.stdin.end('\n')
    await once(child, 'exit')
    expect(cpu).toBeGreaterThanOrEqual(0.15)
    expect(rss).toBeGreaterThan(64)
  })
})
