import { emptyProgram } from '@service-fs/cli/empty-program'
import { testIo } from '@service-fs/cli/testing'
import { openApi } from '@service-fs/wire/openapi'
import { expect, it } from 'vitest'
import { addOpenApi } from './openapi-command.ts'
import { VERSION } from '../version.ts'

async function printed(...args: string[]): Promise<string> {
  const io = testIo()
  const program = emptyProgram(io)
  addOpenApi(program, io)
  await program.parseAsync(['openapi', ...args], { from: 'user' })
  return io.text()
}

it('service-fs openapi prints the document, indented or on one line', async () => {
  const text = await printed()
  expect(JSON.parse(text)).toEqual(openApi(VERSION))
  expect(text.split('\n').length).toBeGreaterThan(1000)
  const line = await printed('--json')
  expect([line.indexOf('\n'), JSON.parse(line)]).toEqual([line.length - 1, openApi(VERSION)])
})
