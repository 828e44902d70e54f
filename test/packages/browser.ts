// Runs a bundle as a browser would: without any global of Node.js, and with a fetch whose answers a test can change.

import { webcrypto } from 'node:crypto'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import type { Project } from './project.ts'

/** Changes the body of the answer to a URL. Returns undefined to leave it as it is. */
export type Change = (url: string, body: Uint8Array) => Uint8Array | undefined

/** The globals of a browser that the packages use. */
const GLOBALS = {
  AbortController,
  clearTimeout,
  crypto: webcrypto,
  setTimeout,
  TextDecoder,
  TextEncoder,
  URL,
}

/** Bundles a module of the project for browsers. */
export async function bundled(project: Project, file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(project.directory, file)],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'page',
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}

/** Runs a bundle in a new context, and returns what its module exports. */
export function opened(bundle: string, globals: Record<string, unknown> = {}, change?: Change): unknown {
  const context = createContext({ ...GLOBALS, fetch: changing(change), ...globals })
  return runInContext(`${bundle}\npage`, context)
}

function changing(change: Change | undefined): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    if (change === undefined) return response
    const url = input as string
    // A stream of events does not end, so it can't be read as a whole.
    if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) return response
    const body = new Uint8Array(await response.arrayBuffer())
    const { status, headers } = response
    return new Response(change(url, body) ?? body, { status, headers })
  }
}
