// The store of the key disk in C, under AddressSanitizer and UBSan: one result for each TEST() of microkit/keys/test.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { run } from '../support/process.ts'
import { compilers, make, tests, why } from './c.ts'

describe.skipIf(why !== '')(`the store of the key disk${why}`, () => {
  describe.each(compilers)('%s', (compiler) => {
    let results = ''
    beforeAll(async () => {
      const program = join(await make(compiler), 'keys-tests')
      const { stdout, stderr } = await run(program, [], { timeoutMs: 300_000 })
      results = stdout + stderr
    })

    for (const [file, names] of tests()) {
      it.each(names)(`${file}: %s`, (name) => {
        const lines = results.split('\n')
        const at = lines.findIndex((line) => line.endsWith(`ok - ${file}.${name}`))
        const before = ['', ...lines.slice(0, at)].reverse()
        const said = before.slice(
          0,
          before.findIndex((line) => !line.startsWith('# ')),
        )
        expect(`${lines[at]}\n${said.reverse().join('\n')}`).toBe(`ok - ${file}.${name}\n`)
      })
    }
  })
})
