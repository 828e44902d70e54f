/**
 * QuickJS in WebAssembly. ArrayBuffers, strings and numbers cross its border.
 *
 * This file calls the engine's exports directly: a call of a host function costs 0.06 µs, but 2.5 µs with the handles of
 * quickjs-emscripten-core. The engine copies the bytes that it passes to a host function; the function gets a view of the engine's
 * memory. An ArrayBuffer that a host function returns is copied to memory allocated for it.
 */
import release from '@jitl/quickjs-wasmfile-release-sync'
import type { QuickJSFFI } from '@jitl/quickjs-wasmfile-release-sync/ffi'
import type {
  BorrowedHeapCharPointer,
  EvalDetectModule,
  EvalFlags,
  HostRefId,
  IntrinsicsFlags,
  JSContextPointer,
  JSContextPointerPointer,
  JSRuntimePointer,
  JSValueConstPointer,
  JSValueConstPointerPointer,
  JSValuePointer,
  JSVoidPointer,
  QuickJSEmscriptenModule,
} from 'quickjs-emscripten-core'

/** The package's default export; its own types are those of a CommonJS module. */
interface Variant {
  importFFI(): Promise<new (module: QuickJSEmscriptenModule) => QuickJSFFI>
  importModuleLoader(): Promise<(settings: { wasmMemory: unknown }) => Promise<QuickJSEmscriptenModule>>
}

/** The part of WebAssembly that is used here. TypeScript declares WebAssembly only together with the DOM. */
declare const WebAssembly: { Memory: new (pages: { initial: number; maximum: number }) => unknown }

export interface EngineOptions {
  /** The limit of the engine's memory in bytes, at most 2 GiB. The engine takes 16 MiB at the start. */
  memoryBytes: number
  /** The time limit of one call into the engine, in milliseconds. */
  callMs: number
}

/** A value that crosses the border. Bytes become an ArrayBuffer in the engine. */
export type Value = undefined | boolean | number | string | Uint8Array | Utf8

/** UTF-8 without NUL that becomes a string in the engine. */
export class Utf8 {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

export type HostFunction = (given: Arguments) => Value | void

/**
 * Ends a call into the engine: `exception` (the script threw), `interrupted` (it ran too long). The engine cannot be used after such an
 * error.
 */
export class EngineError extends Error {
  readonly code: 'exception' | 'interrupted'

  constructor(code: 'exception' | 'interrupted', message: string) {
    super(message)
    this.name = 'EngineError'
    this.code = code
  }
}

const PAGE = 64 * 1024
const INITIAL_BYTES = 16 * 2 ** 20
const SCRATCH_BYTES = 64 * 1024
const MAX_ARGUMENTS = 8
/**
 * The limit of the engine's stack. V8's stack grows with it, up to eight times as fast, and an overflow there is fatal. So a script must
 * reach this limit before V8's. With a limit of 128 KiB, nested JSON would leave only a sixth of V8's stack free. With 96 KiB, JSON of 128
 * levels, the most that is accepted, takes a third of the limit.
 */
const STACK_BYTES = 96 * 1024

function noModules(): never {
  throw new Error('the engine loads no modules')
}

type Callbacks = NonNullable<QuickJSEmscriptenModule['callbacks']>

export class Engine {
  readonly #module: QuickJSEmscriptenModule
  readonly #ffi: QuickJSFFI
  readonly #malloc: (bytes: number) => number
  readonly #freeMemory: (at: number) => void
  readonly #runtime: JSRuntimePointer
  readonly #context: JSContextPointer
  readonly #callMs: number
  readonly #functions: HostFunction[] = []
  /** Addresses in the engine's memory, of a buffer for strings and of the arguments of a call. */
  readonly #scratch: number
  readonly #argv: number
  readonly #true: JSValueConstPointer
  readonly #false: JSValueConstPointer
  readonly #undefined: JSValueConstPointer
  #object: JSValuePointer | undefined
  readonly #methods = new Map<string, JSValuePointer>()
  #heap: Buffer = Buffer.alloc(0)
  #deadline = 0
  #isRunning = false
  #failure: EngineError | undefined

  static async create(options: EngineOptions): Promise<Engine> {
    const maximum = Math.max(options.memoryBytes, INITIAL_BYTES) / PAGE
    const memory = new WebAssembly.Memory({ initial: INITIAL_BYTES / PAGE, maximum: Math.floor(maximum) })
    const variant = release as unknown as Variant
    const load = await variant.importModuleLoader()
    const module = await load({ wasmMemory: memory })
    const Ffi = await variant.importFFI()
    return new Engine(module, new Ffi(module), options.callMs)
  }

  private constructor(module: QuickJSEmscriptenModule, ffi: QuickJSFFI, callMs: number) {
    this.#module = module
    this.#ffi = ffi
    this.#callMs = callMs
    this.#malloc = module['_malloc']
    this.#freeMemory = module['_free']
    module.callbacks = this.#callbacks() as Callbacks
    this.#runtime = ffi.QTS_NewRuntime()
    ffi.QTS_RuntimeSetMaxStackSize(this.#runtime, STACK_BYTES)
    ffi.QTS_RuntimeEnableInterruptHandler(this.#runtime)
    this.#context = ffi.QTS_NewContext(this.#runtime, 0 as IntrinsicsFlags)
    this.#scratch = this.#malloc(SCRATCH_BYTES)
    this.#argv = this.#malloc(4 * MAX_ARGUMENTS)
    this.#true = ffi.QTS_GetTrue()
    this.#false = ffi.QTS_GetFalse()
    this.#undefined = ffi.QTS_GetUndefined()
  }

  /** The size of the engine's memory in bytes. It never shrinks. */
  get memoryBytes(): number {
    return this.#module.HEAPU8.length
  }

  /** Describes how the engine uses its memory, for people to read. */
  memoryUsage(): string {
    const text = this.#ffi.QTS_RuntimeDumpMemoryUsage(this.#runtime)
    const usage = this.#module.UTF8ToString(text)
    this.#freeMemory(text)
    return usage
  }

  /** Sets `globalThis[name]` to an object of these functions. */
  define(name: string, functions: Readonly<Record<string, HostFunction>>): void {
    const ffi = this.#ffi
    const object = ffi.QTS_NewObject(this.#context)
    for (const [property, run] of Object.entries(functions)) {
      const id = this.#functions.push(run) as HostRefId
      this.#setProperty(object, property, ffi.QTS_NewFunction(this.#context, property, 0, false, id))
    }
    const global = ffi.QTS_GetGlobalObject(this.#context)
    this.#setProperty(global, name, object)
    this.#free(global)
  }

  #setProperty(object: JSValuePointer, name: string, value: JSValuePointer): void {
    const key = this.#text(name)
    this.#ffi.QTS_SetProp(this.#context, object, key, value)
    this.#free(key)
    this.#free(value)
  }

  #property(object: JSValuePointer, name: string): JSValuePointer {
    const key = this.#text(name)
    const value = this.#ffi.QTS_GetProp(this.#context, object, key)
    this.#free(key)
    return value
  }

  /** Evaluates a script. @throws EngineError */
  evaluate(script: string, name: string): void {
    const bytes = Buffer.from(`${script}\0`)
    const at = this.#allocate(bytes.length)
    this.#memory().set(bytes, at)
    try {
      this.#run(() =>
        this.#ffi.QTS_Eval(
          this.#context,
          at as BorrowedHeapCharPointer,
          bytes.length - 1,
          name,
          0 as EvalDetectModule,
          0 as EvalFlags,
        ),
      )
    } finally {
      this.#freeMemory(at)
    }
  }

  /** Makes call() call the methods of `globalThis[name]`. */
  bind(name: string): void {
    const global = this.#ffi.QTS_GetGlobalObject(this.#context)
    this.#object = this.#property(global, name)
    this.#free(global)
  }

  /** Calls a method, then runs all pending jobs. @throws EngineError, and again at each later call */
  call(method: string, ...given: readonly Value[]): void {
    const object = this.#object
    if (object === undefined) throw new Error('call() before bind()')
    let found = this.#methods.get(method)
    if (found === undefined) {
      found = this.#property(object, method)
      this.#methods.set(method, found)
    }
    const run = found
    const values = given.map((value) => this.#value(value))
    const argv = new Uint32Array(this.#module.HEAPU8.buffer, this.#argv, MAX_ARGUMENTS)
    argv.set(values.map((value) => value as number))
    try {
      this.#run(() =>
        this.#ffi.QTS_Call(
          this.#context,
          run,
          object,
          values.length,
          this.#argv as JSValueConstPointerPointer,
        ),
      )
    } finally {
      for (const value of values) this.#free(value)
    }
  }

  /** Runs code in the engine, then its pending jobs. */
  #run(enter: () => JSValuePointer): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isRunning) throw new Error('the engine is called from within a host function')
    this.#isRunning = true
    this.#deadline = performance.now() + this.#callMs
    try {
      this.#check(enter())
      this.#pump()
    } finally {
      this.#isRunning = false
    }
  }

  #pump(): void {
    const jobs = this.#ffi.QTS_ExecutePendingJob(this.#runtime, -1, this.#scratch as JSContextPointerPointer)
    // The number of jobs that ran, or the exception of one of them.
    const isCount = !Number.isNaN(this.#ffi.QTS_GetFloat64(this.#context, jobs))
    if (!isCount) this.#fail('exception', this.#described(jobs))
    this.#free(jobs)
    if (this.#failure !== undefined) throw this.#failure
  }

  #check(result: JSValuePointer): void {
    const error = this.#ffi.QTS_ResolveException(this.#context, result)
    if ((error as number) !== 0) {
      this.#fail('exception', this.#described(error))
      this.#free(error)
    }
    this.#free(result)
    if (this.#failure !== undefined) throw this.#failure
  }

  #fail(code: EngineError['code'], message: string): void {
    this.#failure ??= new EngineError(code, message)
  }

  /** Returns the name, message and stack of an error in the engine. */
  #described(error: JSValuePointer): string {
    const text = this.#ffi.QTS_Dump(this.#context, error)
    const dump = this.#module.UTF8ToString(text)
    this.#ffi.QTS_FreeCString(this.#context, text)
    try {
      const { name, message, stack } = JSON.parse(dump) as Record<string, unknown>
      return `${String(name)}: ${String(message)}\n${String(stack)}`
    } catch {
      return dump
    }
  }

  #callbacks(): unknown {
    return {
      callFunction: (
        _: undefined,
        _context: number,
        _this: number,
        count: number,
        argv: JSValuePointer,
        id: number,
      ) => this.#callHost(id, count, argv),
      shouldInterrupt: () => this.#shouldInterrupt(),
      freeHostRef: () => undefined,
      loadModuleSource: noModules,
      normalizeModule: noModules,
    }
  }

  #shouldInterrupt(): number {
    if (performance.now() < this.#deadline) return 0
    this.#fail('interrupted', `a call into the engine ran for more than ${this.#callMs} ms`)
    return 1
  }

  #callHost(id: number, count: number, argv: JSValuePointer): JSValuePointer {
    const run = this.#functions[id - 1] as HostFunction
    const given = new Arguments(this.#module, this.#ffi, this.#context, argv, count)
    try {
      const result = run(given)
      return result === undefined ? (0 as JSValuePointer) : this.#value(result)
    } catch (error) {
      return this.#thrown(error instanceof Error ? error.message : String(error))
    } finally {
      for (const copy of given.copies) this.#freeMemory(copy)
    }
  }

  #thrown(message: string): JSValuePointer {
    const error = this.#ffi.QTS_NewError(this.#context)
    this.#setProperty(error, 'message', this.#text(message))
    return this.#ffi.QTS_Throw(this.#context, error)
  }

  /** Makes a value in the engine. The caller frees it, or passes it to the engine. */
  #value(value: Value): JSValuePointer {
    if (typeof value === 'string') return this.#text(value)
    if (typeof value === 'number') return this.#ffi.QTS_NewFloat64(this.#context, value)
    if (value instanceof Uint8Array) return this.#bytes(value)
    if (value instanceof Utf8) return this.#utf8(value.bytes)
    const found = value === undefined ? this.#undefined : value ? this.#true : this.#false
    return this.#ffi.QTS_DupValuePointer(this.#context, found)
  }

  #text(text: string): JSValuePointer {
    // A UTF-16 code unit is at most 3 bytes of UTF-8.
    const isSmall = text.length * 3 < SCRATCH_BYTES
    const at = isSmall ? this.#scratch : this.#allocate(Buffer.byteLength(text) + 1)
    const memory = this.#memory()
    memory[at + memory.write(text, at)] = 0
    const value = this.#ffi.QTS_NewString(this.#context, at as BorrowedHeapCharPointer)
    if (!isSmall) this.#freeMemory(at)
    return value
  }

  #utf8(bytes: Uint8Array): JSValuePointer {
    const isSmall = bytes.length < SCRATCH_BYTES
    // The bytes may be a view of the engine's memory; growing that memory invalidates the view.
    const from = isSmall ? bytes : new Uint8Array(bytes)
    const at = isSmall ? this.#scratch : this.#allocate(from.length + 1)
    const memory = this.#memory()
    memory.set(from, at)
    memory[at + from.length] = 0
    const value = this.#ffi.QTS_NewString(this.#context, at as BorrowedHeapCharPointer)
    if (!isSmall) this.#freeMemory(at)
    return value
  }

  /** Makes an ArrayBuffer. When the engine frees the ArrayBuffer, it also frees the memory of these bytes. */
  #bytes(bytes: Uint8Array): JSValuePointer {
    const at = this.#allocate(Math.max(1, bytes.length))
    this.#memory().set(bytes, at)
    return this.#ffi.QTS_NewArrayBuffer(this.#context, at as JSVoidPointer, bytes.length)
  }

  #allocate(bytes: number): number {
    const at = this.#malloc(bytes)
    if (at === 0) throw new Error(`out of memory: ${bytes} bytes`)
    return at
  }

  /** Returns a view of the engine's memory, which gets another buffer when it grows. */
  #memory(): Buffer {
    const { buffer } = this.#module.HEAPU8
    if (this.#heap.buffer !== buffer) this.#heap = Buffer.from(buffer as ArrayBuffer)
    return this.#heap
  }

  #free(value: JSValuePointer): void {
    this.#ffi.QTS_FreeValuePointer(this.#context, value)
  }
}

/** The arguments of a call of a host function, valid only during the call. */
export class Arguments {
  readonly #module: QuickJSEmscriptenModule
  readonly #ffi: QuickJSFFI
  readonly #context: JSContextPointer
  readonly #argv: JSValuePointer
  readonly #count: number
  /** The addresses of the engine's copies for bytes(), which are freed after the call. */
  readonly copies: number[] = []

  constructor(
    module: QuickJSEmscriptenModule,
    ffi: QuickJSFFI,
    context: JSContextPointer,
    argv: JSValuePointer,
    count: number,
  ) {
    this.#module = module
    this.#ffi = ffi
    this.#context = context
    this.#argv = argv
    this.#count = count
  }

  #at(index: number): JSValueConstPointer {
    if (index >= this.#count) throw new TypeError(`argument ${index}: expected one, found none`)
    return this.#ffi.QTS_ArgvGetJSValueConstPointer(this.#argv, index)
  }

  number(index: number): number {
    return this.#ffi.QTS_GetFloat64(this.#context, this.#at(index))
  }

  /** Returns the text up to its first NUL, or undefined if there is no such argument. */
  optionalText(index: number): string | undefined {
    return index < this.#count ? this.text(index) : undefined
  }

  /** Returns the text up to its first NUL. */
  text(index: number): string {
    return this.utf8(index, (bytes) => bytes.toString('utf8'))
  }

  /** Passes `use` the text in UTF-8, as a view of the engine's memory that it must not keep. */
  utf8<T>(index: number, use: (bytes: Buffer) => T): T {
    const at = this.#ffi.QTS_GetString(this.#context, this.#at(index))
    if ((at as number) === 0) throw new TypeError(`argument ${index}: expected a text`)
    const heap = this.#module.HEAPU8
    const end = heap.indexOf(0, at)
    try {
      return use(Buffer.from(heap.buffer as ArrayBuffer, at as number, end - (at as number)))
    } finally {
      this.#ffi.QTS_FreeCString(this.#context, at)
    }
  }

  /** Returns the bytes of an ArrayBuffer, as a view of a copy in the engine's memory. Copy them to keep them after the call. */
  bytes(index: number): Buffer {
    const value = this.#at(index)
    const length = this.#ffi.QTS_GetArrayBufferLength(this.#context, value)
    const at = this.#ffi.QTS_GetArrayBuffer(this.#context, value)
    if ((at as number) === 0) throw new TypeError(`argument ${index}: expected an ArrayBuffer`)
    this.copies.push(at)
    return Buffer.from(this.#module.HEAPU8.buffer as ArrayBuffer, at as number, length)
  }
}
