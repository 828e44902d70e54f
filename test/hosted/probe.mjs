// Finds which of a tenant's files another user can open. ../tenants.test.ts runs it as that user, with the things to try on standard input:
// [{"tenant", "kind": "file" | "directory" | "socket" | "process", "path" | "pid", "isOwn"}]. Prints each path that it could open, with the
// mode. Does not change the user's own files.
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
} from 'node:fs'
import { connect } from 'node:net'

const tries = JSON.parse(readFileSync(0, 'utf8'))
const opened = []

function attempt(target, how, work) {
  try {
    work()
    opened.push({ tenant: target.tenant, how, what: target.path ?? target.pid })
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes(error.code)) throw error
  }
}

function connects(target) {
  return new Promise((resolve) => {
    const socket = connect(target.path, () => {
      opened.push({ tenant: target.tenant, how: 'connect', what: target.path })
      socket.destroy()
      resolve()
    })
    socket.once('error', () => resolve())
  })
}

for (const target of tries) {
  const { kind, path, pid, isOwn } = target
  if (kind === 'file') {
    attempt(target, 'read', () => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)))
    attempt(target, 'access', () => accessSync(path, constants.R_OK))
    if (!isOwn) attempt(target, 'rename', () => renameSync(path, `${path}.moved`))
  }
  if (kind === 'directory') {
    attempt(target, 'list', () => readdirSync(path))
    if (!isOwn) attempt(target, 'make', () => mkdirSync(`${path}/intruder`))
  }
  if (kind === 'socket') await connects(target)
  if (kind === 'process') {
    attempt(target, 'signal', () => process.kill(pid, 0))
    for (const part of ['environ', 'mem', 'maps', 'auxv'])
      attempt(target, part, () => closeSync(openSync(`/proc/${pid}/${part}`, 'r')))
    for (const part of ['fd', 'map_files']) attempt(target, part, () => readdirSync(`/proc/${pid}/${part}`))
    for (const part of ['cwd', 'root']) attempt(target, part, () => readdirSync(`/proc/${pid}/${part}/`))
  }
}
console.log(JSON.stringify(opened))
