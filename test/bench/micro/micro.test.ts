// Every kernel computes the right result. Timing is not tested.
import { describe, expect, it } from 'vitest'
import type { Topic } from './measure.ts'
import { TOPICS } from './options.ts'

describe.each(TOPICS.map((topic) => ({ topic })))('micro-benchmark $topic', ({ topic }) => {
  it('computes the right result', async () => {
    const { micros, close } = (await import(/* @vite-ignore */ `./${topic}.ts`)) as Topic
    try {
      expect(micros.length).toBeGreaterThan(0)
      for (const { check, run } of micros) check(await run())
    } finally {
      await close?.()
    }
  })
})
