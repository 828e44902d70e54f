// The check of an entry's time.

import { isTime } from '@service-fs/format/time'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

export const micros: Micro[] = [
  {
    name: 'isTime: a time',
    operations: 1,
    run: () => isTime('2026-11-22T18:43:00.123Z'),
    check: equals(true),
  },
  {
    name: 'isTime: no such day',
    operations: 1,
    run: () => isTime('2026-02-29T18:43:00.123Z'),
    check: equals(false),
  },
]
