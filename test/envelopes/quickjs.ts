// The shipped bundle, in Envelope B's engine.

import { readFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { join } from 'node:path'
import { Engine, type HostFunction, type Value } from '@service-fs/engine-host/engine'
import { MACHINE } from '@service-fs/engine-host/machine'
import type { Host, ServiceFs } from '@service-fs/bundle/host'
import { repoRoot } from '../support/root.ts'
import type { Load } from './bundle.ts'
import { exact } from './cores.ts'

/** The build options of Envelope B's scripts: envelopes/sel4/bundle/build.mjs. */
const BUNDLE = join(repoRoot, 'envelopes/sel4/bundle/src')
const ALIASES = {
  '@noble/hashes/sha2.js': join(BUNDLE, 'sha256.ts'),
  '@noble/curves/ed25519.js': join(BUNDLE, 'absent.ts'),
  '@noble/post-quantum/ml-dsa.js': join(BUNDLE, 'absent.ts'),
}

/** Builds one script without imports from a TypeScript module and its imports. */
export async function script(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'neutral',
    target: 'es2023',
    mainFields: ['module', 'main'],
    alias: ALIASES,
    logLevel: 'warning',
  })
  return outputFiles[0]?.text ?? ''
}

export const ENGINE = { memoryBytes: 1024 * 2 ** 20, callMs: 60_000 }

/** The script that the appliance runs; `npm run build` makes it. */
const BUILT = join(repoRoot, 'envelopes/sel4/bundle/dist/bundle.js')
let bundle: Promise<string> | undefined

/** The bundle in its own engine. */
export const inEngine: Load = async (host) => {
  const engine = await Engine.create(ENGINE)
  engine.define('host', { ...MACHINE, ...functionsOf(host) })
  engine.evaluate(await (bundle ??= readFile(BUILT, 'utf8')), 'bundle.js')
  engine.bind('serviceFs')
  return { service: serviceOf(engine), dispose: () => undefined }
}

/** A host function that returns nothing. */
export function nothing(act: (given: Parameters<HostFunction>[0]) => void): HostFunction {
  return (given) => {
    act(given)
    return undefined
  }
}

/** The host functions that the machine does not provide. */
function functionsOf(host: Host): Record<string, HostFunction> {
  return {
    now: () => host.now(),
    monotonic: () => host.monotonic(),
    random: (given) => new Uint8Array(host.random(given.number(0))),
    log: nothing((given) => host.log(given.text(0))),
    sign: nothing((given) => host.sign(given.number(0), given.number(1), given.text(2))),
    psdbPut: nothing((given) => host.psdbPut(given.number(0), exact(given.bytes(1)))),
    psdbGet: (given) => new Uint8Array(host.psdbGet(given.number(0), given.number(1))),
    psdbSend: nothing((given) => host.psdbSend(exact(given.bytes(0)))),
    netSend: (given) => host.netSend(given.number(0), exact(given.bytes(1))),
    netClose: nothing((given) => host.netClose(given.number(0))),
    netPause: nothing((given) => host.netPause(given.number(0))),
    netResume: nothing((given) => host.netResume(given.number(0))),
    timer: nothing((given) => host.timer(given.number(0))),
    started: nothing(() => host.started()),
    stopped: nothing((given) => host.stopped(given.optionalText(0))),
  }
}

function serviceOf(engine: Engine): ServiceFs {
  const call = (method: string, ...given: Value[]): void => engine.call(method, ...given)
  return {
    start: (config) => call('start', config),
    psdb: (message) => call('psdb', new Uint8Array(message)),
    opened: (connection) => call('opened', connection),
    data: (connection, bytes) => call('data', connection, new Uint8Array(bytes)),
    closed: (connection) => call('closed', connection),
    writable: (connection) => call('writable', connection),
    tick: () => call('tick'),
    signed: (id, lines, error) => call('signed', id, lines, error),
    noted: (id, error) => call('noted', id, error),
    stop: () => call('stop'),
  }
}
