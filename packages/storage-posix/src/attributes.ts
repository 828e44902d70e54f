/**
 * The file attributes `immutable` and `append-only`, which the kernel enforces even for root. Linux has FS_IMMUTABLE_FL and
 * FS_APPEND_FL (ioctl_iflags(2)), which need CAP_LINUX_IMMUTABLE. The BSDs have SF_IMMUTABLE and SF_APPEND (chflags(2)): setting
 * them needs root, and clearing them also needs a securelevel of 0 or below.
 *
 * Node cannot make these system calls, so koffi does.
 */
import { constants, fchmodSync, fstatSync } from 'node:fs'
import { constants as system } from 'node:os'
import { errnoOf } from '@service-fs/storage/errors'

export type Attribute = 'immutable' | 'append-only'

/** The system calls. File descriptors are numbers; the `code` of an error is the errno name. */
export interface Attributes {
  /** Reports whether the file has the attribute. */
  has(fd: number, attribute: Attribute): boolean
  /** Sets or clears the attribute. */
  set(fd: number, attribute: Attribute, on: boolean): void
  /** openat(2) with O_CLOEXEC and O_NOFOLLOW; `name` has no slash. */
  openAt(dir: number, name: string, flags: number, mode?: number): number
  unlinkAt(dir: number, name: string): void
  /**
   * Reports whether any process has the file open for writing: it could keep writing after an attribute is set. `fd` is open for
   * reading only. Returns false where the system cannot tell.
   */
  hasWriter(fd: number): boolean
}

/** FS_IOC_GETFLAGS and FS_IOC_SETFLAGS. The numbers of these two calls encode the size of a `long`, but the argument is an int. */
const IOCTLS: Readonly<Record<string, readonly [get: number, set: number]>> = {
  arm: [0x80046601, 0x40046602],
  arm64: [0x80086601, 0x40086602],
  ia32: [0x80046601, 0x40046602],
  loong64: [0x80086601, 0x40086602],
  ppc64: [0x40086601, 0x80086602],
  riscv64: [0x80086601, 0x40086602],
  s390x: [0x80086601, 0x40086602],
  x64: [0x80086601, 0x40086602],
}
const LINUX = { immutable: 0x10, 'append-only': 0x20 } as const
const BSD = { immutable: 0x00020000, 'append-only': 0x00040000 } as const
const BSDS: ReadonlySet<string> = new Set(['darwin', 'freebsd', 'netbsd', 'openbsd'])

const F_SETLEASE = 1024
const F_RDLCK = 0
const F_UNLCK = 2
/** O_CLOEXEC of open(2), on all systems in IOCTLS. */
const CLOEXEC = 0o2000000
const BSD_CLOEXEC: Readonly<Record<string, number>> = {
  darwin: 0x1000000,
  freebsd: 0x100000,
  netbsd: 0x400000,
  openbsd: 0x10000,
}

type Call = (...args: unknown[]) => number

let loaded: Promise<Attributes | undefined> | undefined

/** Loads the system calls; undefined on systems without them, or where koffi does not run. */
export function loadAttributes(): Promise<Attributes | undefined> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Attributes | undefined> {
  const linux = process.platform === 'linux' ? IOCTLS[process.arch] : undefined
  if (linux === undefined && !BSDS.has(process.platform)) return undefined
  try {
    const library = new Library((await import('koffi')).default)
    return linux === undefined ? new BsdAttributes(library) : new LinuxAttributes(library, linux)
  } catch {
    return undefined
  }
}

/** The C library of this process. */
class Library {
  readonly #errno: () => number
  /** Names by number. Some numbers have two names (EAGAIN and EWOULDBLOCK); keeps the alphabetically first, which is the usual one. */
  readonly #names: ReadonlyMap<number, string> = new Map(
    Object.entries(system.errno)
      .sort(([a], [b]) => (a < b ? 1 : -1))
      .map(([name, number]) => [number, name]),
  )
  readonly func: (definition: string) => Call

  constructor(koffi: typeof import('koffi').default) {
    const library = koffi.load(null)
    this.func = (definition) => library.func(definition)
    this.#errno = () => koffi.errno()
  }

  /** Returns the result of a call. @throws the system's error when it is negative */
  check(name: string, result: number): number {
    if (result >= 0) return result
    const code = this.#names.get(this.#errno()) ?? 'EIO'
    throw Object.assign(new Error(`${name}: ${code}`), { code, syscall: name })
  }
}

class At {
  readonly #library: Library
  readonly #openat: Call
  readonly #unlinkat: Call
  readonly #cloexec: number

  constructor(library: Library) {
    this.#library = library
    this.#openat = library.func('int openat(int dir, const char *path, int flags, ...)')
    this.#unlinkat = library.func('int unlinkat(int dir, const char *path, int flags)')
    this.#cloexec = BSD_CLOEXEC[process.platform] ?? CLOEXEC
  }

  openAt(dir: number, name: string, flags: number, mode = 0): number {
    const all = flags | constants.O_NOFOLLOW | this.#cloexec
    return this.#library.check('openat', this.#openat(dir, name, all, 'int', mode))
  }

  unlinkAt(dir: number, name: string): void {
    this.#library.check('unlinkat', this.#unlinkat(dir, name, 0))
  }
}

class LinuxAttributes extends At implements Attributes {
  readonly #library: Library
  readonly #ioctl: Call
  readonly #fcntl: Call
  readonly #get: number
  readonly #set: number

  constructor(library: Library, [get, set]: readonly [number, number]) {
    super(library)
    this.#library = library
    this.#ioctl = library.func('int ioctl(int fd, unsigned long request, ...)')
    this.#fcntl = library.func('int fcntl(int fd, int command, ...)')
    this.#get = get
    this.#set = set
    // The kernel sends SIGIO to a lease holder when another process opens the file. By default it ends the process.
    process.on('SIGIO', ignore)
  }

  has(fd: number, attribute: Attribute): boolean {
    return (this.#flags(fd) & LINUX[attribute]) !== 0
  }

  set(fd: number, attribute: Attribute, on: boolean): void {
    const before = this.#flags(fd)
    const after = on ? before | LINUX[attribute] : before & ~LINUX[attribute]
    if (after === before) return
    const argument = new Int32Array([after, 0])
    this.#library.check('ioctl', this.#ioctl(fd, this.#set, 'void *', argument))
  }

  hasWriter(fd: number): boolean {
    try {
      this.#library.check('fcntl', this.#fcntl(fd, F_SETLEASE, 'int', F_RDLCK))
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'EAGAIN') return true
      // The file system does not support leases.
      if (code === 'EINVAL' || code === 'ENOTSUP') return false
      throw error
    }
    this.#library.check('fcntl', this.#fcntl(fd, F_SETLEASE, 'int', F_UNLCK))
    return false
  }

  #flags(fd: number): number {
    const flags = new Int32Array(2)
    this.#library.check('ioctl', this.#ioctl(fd, this.#get, 'void *', flags))
    return flags[0] ?? 0
  }
}

class BsdAttributes extends At implements Attributes {
  readonly #library: Library
  readonly #fchflags: Call

  constructor(library: Library) {
    super(library)
    this.#library = library
    const type =
      process.platform === 'freebsd' || process.platform === 'netbsd' ? 'unsigned long' : 'uint32_t'
    this.#fchflags = library.func(`int fchflags(int fd, ${type} flags)`)
  }

  /** Reports whether one of the attributes is set: chmod(2) then fails, even to the present mode. */
  has(fd: number): boolean {
    try {
      fchmodSync(fd, fstatSync(fd).mode & 0o7777)
      return false
    } catch (error) {
      if (errnoOf(error) === 'EPERM') return true
      throw error
    }
  }

  set(fd: number, attribute: Attribute, on: boolean): void {
    this.#library.check('fchflags', this.#fchflags(fd, on ? BSD[attribute] : 0))
  }

  hasWriter(): boolean {
    return false
  }
}

function ignore(): void {}
