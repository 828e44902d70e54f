// Every kernel computes what it should. Timing is not tested.
import { describe, expect, it } from 'vitest'
import type { Micro } from './measure.ts'
import { TOPICS } from './options.ts'

describe.each(TOPICS.map((topic) => ({ topic })))('micro-benchmark $topic', ({ topic }) => {
  it('computes what it measures', async () => {
    const { micros } = (await import(/* @vite-ignore */ `./${topic}.ts`)) as { micros: Micro[] }
    expect(micros.length).toBeGreaterThan(0)
    for (const { check, run } of micros) check(await run())
  })
})
