import { describe, expect, it } from 'vitest'
import { Limiter, SharedRuns } from './limiter.ts'

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1))

describe('Limiter', () => {
  it('runs at most `width` jobs, in order, also after failures', async () => {
    const limiter = new Limiter(3)
    let running = 0
    let most = 0
    const begun: number[] = []
    const jobs = Array.from({ length: 20 }, (_, i) =>
      limiter.run(async () => {
        begun.push(i)
        most = Math.max(most, ++running)
        await pause()
        running--
        if (i % 4 === 0) throw new Error('failed')
        return i
      }),
    )
    const outcomes = await Promise.allSettled(jobs)
    expect(most).toBe(3)
    expect(begun).toEqual(begun.toSorted((a, b) => a - b))
    expect(outcomes.filter(({ status }) => status === 'rejected').length).toBe(5)
  })
})

describe('SharedRuns', () => {
  it('waits for a run that starts after the call', async () => {
    const log: string[] = []
    const runs = new SharedRuns(new Limiter(3), async (key) => {
      log.push(`begin ${key}`)
      await pause()
      log.push(`end ${key}`)
    })
    const first = [runs.run('a'), runs.run('a')]
    while (log.length === 0) await Promise.resolve()
    const second = [runs.run('a'), runs.run('a'), runs.run('b')].map((run) =>
      run.then(() => log.push('done')),
    )
    await Promise.all([...first, ...second])
    expect(log.filter((line) => line === 'begin a').length).toBe(2)
    expect(log.filter((line) => line === 'begin b').length).toBe(1)
    expect(log.indexOf('end a')).toBeLessThan(log.lastIndexOf('begin a'))
  })

  it('rejects all callers of a failed run, and starts again', async () => {
    let calls = 0
    const runs = new SharedRuns(new Limiter(1), async () => {
      if (++calls === 1) throw new Error('first')
    })
    const outcomes = await Promise.allSettled([runs.run('a'), runs.run('a')])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await runs.run('a')
    expect(calls).toBe(2)
  })
})
