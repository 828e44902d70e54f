/** Clears the file attributes of a sealed file and its directory while the file is replaced. */
import { closeSync, constants, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { ClientError } from '@service-fs/client/errors'
import { codeOf } from '@service-fs/format/errors'
import { loadAttributes, type Attribute, type Attributes } from '@service-fs/storage-posix/attributes'

/**
 * Clears the attributes of the file and its directory, runs `replace`, and sets the attributes again, now on the new file. If the process
 * is killed in between, a daemon that protects files sets the attributes when it opens the ledger.
 * @throws ClientError `file` when this process may not clear an attribute
 */
export async function unprotected(path: string, replace: () => Promise<void>): Promise<void> {
  const attributes = await loadAttributes()
  if (attributes === undefined) return replace()
  const dir = dirname(path)
  const hadFile = clear(attributes, path, 'immutable')
  const hadDir = clear(attributes, dir, 'append-only')
  try {
    await replace()
    if (hadFile || hadDir) set(attributes, path, 'immutable')
  } finally {
    if (hadDir) set(attributes, dir, 'append-only')
  }
}

/** Clears an attribute; returns whether it was set. */
function clear(attributes: Attributes, path: string, attribute: Attribute): boolean {
  return withOpen(path, (fd) => {
    if (!has(attributes, fd, attribute)) return false
    change(attributes, fd, { path, attribute, on: false })
    return true
  })
}

function set(attributes: Attributes, path: string, attribute: Attribute): void {
  withOpen(path, (fd) => {
    change(attributes, fd, { path, attribute, on: true })
    return true
  })
}

function change(
  attributes: Attributes,
  fd: number,
  { path, attribute, on }: { path: string; attribute: Attribute; on: boolean },
): void {
  try {
    attributes.set(fd, attribute, on)
  } catch (error) {
    const verb = on ? 'set' : 'clear'
    throw new ClientError(
      'file',
      `${path}: expected to ${verb} its file attribute ${attribute}, found ${codeOf(error) ?? 'an error'}: run the command as root with CAP_LINUX_IMMUTABLE`,
    )
  }
}

/** Reports whether a file has an attribute. Returns false if the file system does not support attributes. */
function has(attributes: Attributes, fd: number, attribute: Attribute): boolean {
  try {
    return attributes.has(fd, attribute)
  } catch {
    return false
  }
}

/** Opens a file or a directory; returns false for anything that cannot have an attribute. */
function withOpen(path: string, use: (fd: number) => boolean): boolean {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return false
  }
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}
