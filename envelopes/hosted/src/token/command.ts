/** `service-fs token`: issues, rotates and revokes bearer tokens. */
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '@service-fs/cli/io'
import { readInput } from '@service-fs/cli/options'
import { perform } from '@service-fs/cli/perform'
import { isModuleId } from '@service-fs/format/module-id'
import { quoted } from '@service-fs/format/visible'
import { isRole, ROLES, type Role } from '@service-fs/wire/roles'
import { parseExpiry, parseSpan } from './time-options.ts'
import { issue, revoke, rotate, type Issued } from './changes.ts'
import { changeTokens } from './file.ts'
import { readTokens, stateOf, TOKEN_NAME, type StoredToken } from '@service-fs/access/tokens'

interface Where {
  file?: string
  out?: string
  config?: string
  json?: boolean
}

const HOW = `
The file keeps hashes of the tokens only, mode 0600; a daemon that runs takes a change within a second. A client sends a token as
"Authorization: Bearer <token>"; the commands take it from FS_TOKEN.`

const OUT = 'write the token to this file (mode 0600, never overwritten) instead of printing it'

export function addToken(program: Command, io: Io): void {
  const token = program
    .command('token')
    .description('issue bearer tokens, rotate and revoke them')
    .addHelpText('after', HOW)
  where(token.command('add'))
    .description('make a token and print it; it is never shown again')
    .requiredOption('--name <name>', 'the owner: requests have the subject token:<name>')
    .requiredOption('--tenant <id>', 'the tenant, or * for all')
    .requiredOption('--roles <roles>', `comma-separated: ${ROLES.join(', ')}`)
    .option('--expires <when>', 'such as 90d, 12h, 2027-01-31T00:00:00Z, or never', '365d')
    .option('--out <file>', OUT)
    .action((flags: AddFlags) => perform(io, flags.json, () => add(flags, io)))
  where(token.command('ls'))
    .description('list the tokens')
    .action((flags: Where) => perform(io, flags.json, () => ls(flags, io)))
  where(token.command('rotate'))
    .description('create a successor and print it once; the old token stays valid for a while')
    .argument('<id>', 'of the token')
    .option('--overlap <span>', 'how long the old token stays valid, such as 1h', '24h')
    .option('--expires <when>', 'expiry of the successor (default: the lifetime of the old token)')
    .option('--out <file>', OUT)
    .action((id: string, flags: RotateFlags) => perform(io, flags.json, () => replace(id, flags, io)))
  where(token.command('revoke'))
    .description('revoke tokens')
    .argument('<ids...>', 'of the tokens')
    .action((ids: string[], flags: Where) => perform(io, flags.json, () => end(ids, flags, io)))
}

function where(command: Command): Command {
  return command
    .option('--file <file>', 'the file of tokens')
    .option('--config <file>', 'host.json, or the file of serve --access: it names the token file')
    .option('--json', 'print the result as JSON')
}

/** Returns the path of the token file that the flags name. @throws ClientError `usage`, `file` */
async function fileOf({ file, config }: Where): Promise<string> {
  if (file !== undefined && config === undefined) return resolve(file)
  if (config === undefined || file !== undefined)
    throw new ClientError('usage', 'expected one of --file FILE and --config FILE')
  const named = (await configIn(config)).access?.tokens
  if (typeof named === 'string') return resolve(dirname(config), named)
  const example = '"access": {"tokens": "tokens.json"}'
  throw new ClientError('usage', `--config ${config}: expected the file of tokens, such as ${example}`)
}

/** The fields that this command reads from host.json or from the file of `serve --access`. */
interface Config {
  access?: { tokens?: unknown }
  tenants?: unknown
}

async function configIn(file: string): Promise<Config> {
  const text = (await readInput(file)).toString('utf8')
  try {
    return (JSON.parse(text) as Config | null) ?? {}
  } catch {
    return {}
  }
}

/** Prints a note when the configuration lacks the tenant. This is no error: a tenant may get its tokens before it is added. */
async function noteMissing(tenant: string, config: string, io: Io): Promise<void> {
  const { tenants } = await configIn(config)
  if (tenant === '*' || !Array.isArray(tenants)) return
  if (!(tenants as ({ moduleId?: unknown } | null)[]).some((one) => one?.moduleId === tenant))
    io.err(`note: ${config} has no tenant ${tenant}`)
}

interface AddFlags extends Where {
  name: string
  tenant: string
  roles: string
  expires: string
}

async function add(flags: AddFlags, io: Io): Promise<void> {
  const { name, tenant } = flags
  if (!TOKEN_NAME.test(name))
    throw new ClientError('usage', `--name: expected at most 64 letters, digits and . _ @ + -, found ${name}`)
  if (tenant !== '*' && !isModuleId(tenant))
    throw new ClientError('usage', `--tenant: expected a tenant, or * for all, found ${tenant}`)
  const roles = rolesOf(flags.roles)
  const now = Date.now()
  const expires = parseExpiry(flags.expires, '--expires', now)
  const file = await fileOf(flags)
  await give(flags, io, async () => {
    let issued: Issued | undefined
    await changeTokens(file, (tokens) => {
      const request = { name, tenant, roles, expires: expires === 'never' ? undefined : expires }
      issued = issue(tokens, request, now)
      return [...tokens, issued.token]
    })
    return { issued: issued as Issued }
  })
  if (flags.config !== undefined && flags.json !== true) await noteMissing(tenant, flags.config, io)
}

function rolesOf(text: string): Role[] {
  const names = text.split(',').map((name) => name.trim())
  const roles = names.filter(isRole)
  if (roles.length === names.length) return [...new Set(roles)]
  throw new ClientError('usage', `--roles: expected some of ${ROLES.join(', ')}, found ${text}`)
}

/**
 * Makes a token and prints only the token to standard output, or writes it to a file so that it is never displayed. Creates that
 * file first, so that every new token can be delivered.
 */
async function give(
  { out, json }: Where,
  io: Io,
  make: () => Promise<{ issued: Issued; more?: object }>,
): Promise<void> {
  const file = out === undefined ? undefined : await newSecretFile(out)
  try {
    const { issued, more } = await make().catch(async (error: unknown) => {
      if (out !== undefined) await unlink(out)
      throw error
    })
    const { token, text } = issued
    await file?.writeFile(`${text}\n`)
    await file?.sync()
    const place = out === undefined ? { token: text } : { out }
    if (json === true) return await io.out(`${JSON.stringify({ ...shown(token), ...place, ...more })}\n`)
    const { id, name, tenant, roles } = token
    io.err(`token ${id}: ${quoted(name)}, tenant ${tenant}, ${roles.join(' ')}, ${endOf(token)}`)
    if (out === undefined) await io.out(`${text}\n`)
  } finally {
    await file?.close()
  }
}

async function newSecretFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    const isThere = codeOf(error) === 'EEXIST'
    throw new ClientError(
      'file',
      isThere ? `${path}: exists already, and is not overwritten` : messageOf(error),
    )
  }
}

function endOf({ expires }: StoredToken): string {
  return expires === undefined ? 'never expires' : `expires ${expires}`
}

function shown(token: StoredToken): Omit<StoredToken, 'sha256'> {
  const { sha256: _, ...rest } = token
  return rest
}

async function ls(flags: Where, io: Io): Promise<void> {
  const tokens = await readTokens(await fileOf(flags))
  const now = Date.now()
  if (flags.json === true) {
    const list = tokens.map((token) => ({ ...shown(token), state: stateOf(token, now) }))
    return io.out(`${JSON.stringify({ tokens: list })}\n`)
  }
  const lines = tokens.map((token) => {
    const { id, name, tenant, roles, revoked } = token
    const state = stateOf(token, now)
    const when =
      state === 'revoked'
        ? `revoked ${revoked}`
        : state === 'expired'
          ? `expired ${token.expires}`
          : endOf(token)
    return `${id}  ${quoted(name)}  ${tenant}  ${roles.join(',')}  ${when}\n`
  })
  await io.out(lines.join(''))
}

interface RotateFlags extends Where {
  overlap: string
  expires?: string
}

async function replace(id: string, flags: RotateFlags, io: Io): Promise<void> {
  const now = Date.now()
  const overlap = parseSpan(flags.overlap, '--overlap')
  const expires = flags.expires === undefined ? undefined : parseExpiry(flags.expires, '--expires', now)
  const file = await fileOf(flags)
  await give(flags, io, async () => {
    let done: ReturnType<typeof rotate> | undefined
    await changeTokens(file, (tokens) => {
      done = rotate(tokens, id, { overlap, expires, now })
      return done.tokens
    })
    const issued = done as ReturnType<typeof rotate>
    const until = issued.old.expires
    if (flags.json !== true) io.err(`token ${id} is valid until ${until}`)
    return { issued, more: { replaces: id, replaced_until: until } }
  })
}

async function end(ids: readonly string[], flags: Where, io: Io): Promise<void> {
  const now = Date.now()
  const tokens = await changeTokens(await fileOf(flags), (before) => revoke(before, ids, now))
  const revoked = tokens.filter(({ id }) => ids.includes(id))
  if (flags.json === true) return io.out(`${JSON.stringify({ revoked: revoked.map(shown) })}\n`)
  for (const token of revoked) io.err(`token ${token.id} of ${quoted(token.name)}: revoked ${token.revoked}`)
}
