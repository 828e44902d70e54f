// The capability audit: it reports nothing for the system that we build, and each rule reports its violation, in a description and
// in the output of Microkit's tool.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { auditBuild, picture, readBuilt, sentences, SPECIFICATION } from '../../microkit/audit.mjs'
import { audit, compare } from '../../microkit/audit/rules.mjs'
import { readDescription } from '../../microkit/audit/system.mjs'
import { build, runTool } from '../../microkit/build.mjs'
import { generate } from '../../microkit/generate.mjs'
import { needs, runs, variants } from './machine.ts'

const totebox = join(import.meta.dirname, 'storage.json')
const { xml } = generate(JSON.parse(readFileSync(totebox, 'utf8')))

/** Replaces a text that must be present. */
function change(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, to)
  if (changed === text) throw new Error(`${from} is not in the text`)
  return changed
}

const inDomain = (text: string, domain: string, more: string) =>
  change(text, `<program_image path="${domain}.elf" />`, `<program_image path="${domain}.elf" />${more}`)

const mapped = (domain: string, region: string, perms: string) =>
  inDomain(xml, domain, `<map mr="${region}" vaddr="0x30000000" perms="${perms}" cached="true" />`)

const regionAnd = (region: string, rest: string) => change(rest, '<system>', `<system>${region}`)

const channelOf = (one: string, other: string, more = '') =>
  change(
    xml,
    '</system>',
    `<channel><end pd="${one}" id="50"${more} /><end pd="${other}" id="50" /></channel></system>`,
  )

/** Removes a domain from the top level of the description. */
function without(domain: string): [string, string] {
  const [found = ''] =
    new RegExp(`    <protection_domain name="${domain}"[\\s\\S]*?\\n    </protection_domain>\n`).exec(xml) ??
    []
  return [change(xml, found, ''), found]
}

function childOf(parent: string, child: string): string {
  const [rest, domain] = without(child)
  return inDomain(rest, parent, change(domain, ` priority="`, ` id="9" priority="`))
}

const gpio = '<memory_region name="gpio" size="0x1000" page_size="0x1000" phys_addr="0x9030000" />'
const disk = '<memory_region name="disk" size="0x1000" page_size="0x1000" phys_addr="0xa000000" />'

function withoutKeys(): string {
  const channel = /<channel>\s*<end [^>]*>\s*<end [^>]*>\s*<\/channel>/g
  return without('keys')[0].replaceAll(channel, (found) => (found.includes('pd="keys"') ? '' : found))
}

/** An interrupt of a domain that must not have it. */
function moved(irq: number, to: string): string {
  const found = new RegExp(`<irq irq="${irq}" [^>]*>`).exec(xml)?.[0]
  const rest = found === undefined ? xml : change(xml, found, '')
  return inDomain(rest, to, `<irq irq="${irq}" id="50" trigger="edge" />`)
}

const broken: [string, string, string][] = [
  [
    'the data disk in a ledger',
    mapped('ledger_acme', 'blk_device', 'rw'),
    'devices: blk_device: is mapped by ledger_acme',
  ],
  ['the data disk in psdb', mapped('psdb', 'blk_device', 'r'), 'devices: blk_device: is mapped by psdb'],
  [
    'the key disk in psdb',
    mapped('psdb', 'keys_device', 'rw'),
    'devices: keys_device: is mapped by psdb: only keys may map it',
  ],
  [
    'the serial port in a ledger',
    mapped('ledger_globex', 'uart', 'rw'),
    'devices: uart: is mapped by ledger_globex',
  ],
  [
    'the random numbers’ device in psdb',
    mapped('psdb', 'entropy_device', 'rw'),
    'devices: entropy_device: is mapped by psdb',
  ],
  [
    'another device in a ledger',
    regionAnd(gpio, mapped('ledger_acme', 'gpio', 'rw')),
    'devices: gpio: 4096 bytes at 0x9030000 do not belong to a device',
  ],
  [
    'the disk’s interrupt in psdb',
    moved(48, 'psdb'),
    'interrupts: psdb: holds interrupt 48: only blk may hold it',
  ],
  [
    'the key disk’s interrupt in a ledger',
    moved(56, 'ledger_acme'),
    'interrupts: ledger_acme: holds interrupt 56: only keys may hold it',
  ],
  [
    'another interrupt in a ledger',
    moved(40, 'ledger_acme'),
    "interrupts: ledger_acme: holds interrupt 40, which is no device's",
  ],
  [
    'the disk’s data in a ledger',
    mapped('ledger_acme', 'disk_data', 'rw'),
    'sharing: disk_data: is shared by',
  ],
  [
    'the disk’s ring in a ledger',
    mapped('ledger_acme', 'ring_psdb_to_blk', 'r'),
    'sharing: ring_psdb_to_blk: is shared by more than two',
  ],
  [
    'PSDB’s memory in a ledger',
    mapped('ledger_acme', 'psdb_store', 'r'),
    'sharing: psdb_store: is shared by',
  ],
  [
    'a tenant’s data in another',
    mapped('ledger_globex', 'data_acme', 'r'),
    'tenants-apart: data_acme: is shared by tenants',
  ],
  [
    'a tenant’s ring in another',
    mapped('ledger_globex', 'ring_psdb_to_ledger_acme', 'r'),
    'tenants-apart: ring_psdb_to_ledger_acme',
  ],
  [
    'a tenant’s random bytes in another',
    mapped('ledger_acme', 'random_ledger_globex', 'r'),
    'tenants-apart: random_ledger_globex',
  ],
  [
    'a tenant’s data in the clock',
    mapped('clock', 'data_acme', 'r'),
    'sharing: data_acme: is shared by more than two',
  ],
  [
    'a ring that both write',
    change(xml, /(mr="ring_ledger_acme_to_psdb" vaddr="\w+" perms=)"r"/, '$1"rw"'),
    'one-writer: ring_ledger_acme_to_psdb: is written by both',
  ],
  [
    'a disk’s ring that both write',
    change(xml, /(mr="ring_blk_to_psdb" vaddr="\w+" perms=)"r"/, '$1"rw"'),
    'one-writer: ring_blk_to_psdb: is written by both',
  ],
  [
    'a ledger that sets the time',
    change(xml, /(mr="time" vaddr="\w+" perms=)"r"/, '$1"rw"'),
    'one-writer: time: ledger_acme may not write it',
  ],
  [
    'data that can be executed',
    change(xml, /(mr="data_acme" vaddr="\w+" perms=)"rw"/, '$1"rwx"'),
    'write-execute: data_acme: ledger_acme can write it and execute it',
  ],
  [
    'a page that can be executed',
    change(xml, /(mr="random_ledger_acme" vaddr="\w+" perms=)"r"/, '$1"rx"'),
    'write-execute: random_ledger_acme: ledger_acme can execute it',
  ],
  [
    'a channel between tenants',
    channelOf('ledger_acme', 'ledger_globex'),
    'channels: ledger_acme and ledger_globex: have 1 channels, and regions that go with 0',
  ],
  [
    'a channel from a tenant to the disk',
    channelOf('ledger_acme', 'blk'),
    'channels: blk and ledger_acme: have 1 channels, and regions that go with 0',
  ],
  [
    'a second channel from a tenant to PSDB',
    channelOf('ledger_acme', 'psdb'),
    'channels: ledger_acme and psdb: have 2 channels, and regions that go with 1',
  ],
  ['PSDB as a child', childOf('supervisor', 'psdb'), 'children: psdb: is a child of the supervisor'],
  ['a parent that is not the supervisor', childOf('blk', 'psdb'), 'children: blk: is the parent of psdb'],
  [
    'a ledger that is nobody’s child',
    change(
      change(
        xml,
        /        <protection_domain name="ledger_globex"[\s\S]*?\n        <\/protection_domain>\n/,
        '',
      ),
      '    <channel>',
      `${/        <protection_domain name="ledger_globex"[\s\S]*?\n        <\/protection_domain>\n/.exec(xml)?.[0].replace(' id="1"', '')}    <channel>`,
    ),
    'children: ledger_globex: is no child of the supervisor',
  ],
  [
    'a ledger before the disk',
    change(xml, /(name="ledger_acme" id="0" priority=)"100"/, '$1"210"'),
    'priorities: ledger_acme: has priority 210, not 100',
  ],
  [
    'a disk behind the ledgers',
    change(xml, /(name="blk" priority=)"200"/, '$1"90"'),
    'priorities: blk: has priority 90, not 200',
  ],
  [
    'keys without their disk',
    change(xml, /<map mr="keys_device"[^>]*>/, ''),
    'devices: keys: does not hold its device',
  ],
  [
    'a disk that is not declared',
    change(xml, /<irq irq="48" [^>]*>/, ''),
    'interrupts: blk: does not hold interrupt 48',
  ],
]

/** Faults that only the description can show: the tool rejects them, or does not report them. */
const brokenDescription: [string, string, string][] = [
  [
    'the disk under another name',
    regionAnd(disk, mapped('ledger_acme', 'disk', 'rw')),
    'overlaps: blk_device: is the same memory as disk',
  ],
  [
    'a tenant’s data for a device',
    change(xml, 'region_paddr="entropy_queue"', 'region_paddr="data_acme"'),
    'physical: data_acme: entropy is given its address',
  ],
  [
    'a region that is not shared as it should be',
    change(xml, /<map mr="data_acme"[^>]*>/, ''),
    'sharing: ledger_acme and psdb: have only some of the regions',
  ],
  [
    'a channel that is not there',
    change(xml, /<channel>\s*<end pd="psdb" id="1" \/>[\s\S]*?<\/channel>/, ''),
    'channels: psdb: has no channel to blk',
  ],
  ['no keys', withoutKeys(), 'domains: keys: is not there'],
]

const found = (system: ReturnType<typeof readDescription>) => sentences(audit(system))

describe('the audit of a description', () => {
  it('finds nothing', () => {
    expect(found(readDescription(xml))).toEqual([])
  })

  it.each(broken)('finds %s', (_, text, finding) => {
    expect(found(readDescription(text))).toContainEqual(expect.stringContaining(finding))
  })

  it.each(brokenDescription)('finds %s', (_, text, finding) => {
    expect(found(readDescription(text))).toContainEqual(expect.stringContaining(finding))
  })

  it.each([
    [
      'an attribute',
      change(xml, '<protection_domain name="blk"', '<protection_domain name="blk" smc="true"'),
    ],
    ['calls between domains', channelOf('ledger_acme', 'psdb', ' pp="true"')],
    ['an element', change(xml, '</system>', '<virtual_machine name="x" /></system>')],
    ['a comment', change(xml, '<system>', '<system><!-- -->')],
    ['a channel to nobody', without('clock')[0]],
    ['a region twice', regionAnd(gpio, regionAnd(gpio, xml))],
  ])('refuses %s that it does not know', (_, text) => {
    expect(() => readDescription(text)).toThrow()
  })
})

const readFolder = (from: string) =>
  readBuilt(readFileSync(join(from, 'report.txt'), 'utf8'), () =>
    readFileSync(join(from, SPECIFICATION), 'utf8'),
  )

describe('docs/appliance.md', () => {
  it('lists the capabilities of each domain', () => {
    const tenants = [
      { moduleId: 'acme', port: 80 },
      { moduleId: 'globex', port: 81 },
    ]
    const whole = readDescription(generate({ tenants, network: { dhcp: true } }).xml)
    expect(found(whole)).toEqual([])
    const text = readFileSync(join(import.meta.dirname, '../../docs/appliance.md'), 'utf8')
    expect(text).toContain(picture(whole).join('\n'))
    const rules = [...text.matchAll(/^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| [^|]+\|$/gm)].flatMap(
      (row) => row[1]?.split(', ') ?? [],
    )
    const used = readFileSync(join(import.meta.dirname, '../../microkit/audit/rules.mjs'), 'utf8')
    const names = new Set(
      [...used.matchAll(/(?:find\(|rule: )\s*'([a-z-]+)'/g)].map((match) => `\`${match[1]}\``),
    )
    expect(rules.toSorted()).toEqual([...names].toSorted())
  })
})

const releases = variants.filter(({ config }) => config === 'release')

describe.skipIf(!runs).each(releases)(`the audit of what SDK $version builds ${needs}`, (variant) => {
  let folder = ''
  let work = ''
  beforeAll(() => {
    folder = dirname(build({ totebox, ...variant, name: 'audited' }).image)
    work = mkdtempSync(join(tmpdir(), 'service-fs-audit-'))
  })
  afterAll(() => rmSync(work, { recursive: true }))

  /** Returns the output of Microkit's tool for a description and the existing programs. */
  function built(text: string) {
    const out = mkdtempSync(join(work, 'built-'))
    for (const name of readdirSync(folder))
      if (name.endsWith('.elf')) symlinkSync(join(folder, name), join(out, name))
    writeFileSync(join(out, 'system.xml'), text)
    runTool(variant.sdk, {
      out,
      image: join(out, 'image'),
      report: join(out, 'report.txt'),
      config: variant.config,
    })
    return readFolder(out)
  }

  it('finds nothing, and the built system matches its description', () => {
    expect(sentences(auditBuild(folder).findings)).toEqual([])
  })

  it.each(broken)('finds %s in the report alone', (_, text, finding) => {
    expect(found(built(text))).toContainEqual(expect.stringContaining(finding))
  })

  it('finds calls between domains, and an additional domain', () => {
    expect(found(built(channelOf('ledger_acme', 'psdb', ' pp="true"'))).join('\n')).toMatch(
      /capabilities: ledger_acme: (EP psdb|ep_psdb)/,
    )
    const spy =
      '<protection_domain name="spy" priority="1" stack_size="0x1000"><program_image path="blk.elf" /></protection_domain>'
    const blk = change(xml, /<setvar symbol="[^>]*>/g, '')
    expect(found(built(change(blk, '</system>', `${spy}</system>`)))).toContain(
      'domains: spy: an appliance has no such domain',
    )
  })

  it('finds parts that were built but not described', () => {
    const described = readDescription(xml)
    const extra = built(mapped('psdb', 'console_psdb', 'r'))
    expect(sentences(compare(described, extra))).toEqual([
      'as-described: psdb: was built with console_psdb at 0x30000000, 4096 bytes, r',
    ])
    const other = built(change(xml, /(name="psdb" priority=)"150"/, '$1"151"'))
    expect(sentences(compare(described, other))).toEqual([
      'as-described: psdb: was not built with priority 150',
      'as-described: psdb: was built with priority 151',
    ])
  })

  it('refuses a truncated report, or one of another kind', () => {
    const report = readFileSync(join(folder, 'report.txt'), 'utf8')
    const specification = () => readFileSync(join(folder, SPECIFICATION), 'utf8')
    const verdict = (text: string) => {
      try {
        const system = readBuilt(text, specification)
        return [...audit(system), ...compare(readDescription(xml), system)].length
      } catch {
        return 'refused'
      }
    }
    expect(verdict(report)).toBe(0)
    for (const part of [0.01, 0.3, 0.6]) expect(verdict(report.slice(0, report.length * part))).not.toBe(0)
    expect(() => readBuilt('', specification)).toThrow('expected the build report of SDK')
  })

  it('builds no image of a system that fails the audit', () => {
    const sdk = join(work, 'sdk')
    mkdirSync(join(sdk, 'bin'), { recursive: true })
    symlinkSync(join(variant.sdk, 'board'), join(sdk, 'board'))
    cpSync(join(variant.sdk, 'VERSION'), join(sdk, 'VERSION'))
    const spoil = `sed -i 's|<program_image path="ledger_acme.elf" />|&<map mr="blk_device" vaddr="0x30000000" perms="rw" cached="false" />|' system.xml`
    writeFileSync(
      join(sdk, 'bin', 'microkit'),
      `#!/bin/sh\n[ "$1" = --help ] || ${spoil}\nexec ${join(variant.sdk, 'bin', 'microkit')} "$@"\n`,
    )
    chmodSync(join(sdk, 'bin', 'microkit'), 0o755)
    expect(() => build({ totebox, ...variant, sdk, name: 'spoiled' })).toThrow(
      /the capability audit\ndevices: blk_device: is mapped by ledger_acme/,
    )
    expect(
      existsSync(
        join(dirname(folder), `spoiled-${variant.version}-release-${variant.compiler}`, 'loader.img'),
      ),
    ).toBe(false)
  })

  it('runs as a command', () => {
    const tool = join(import.meta.dirname, '../../microkit/audit.mjs')
    const text = execFileSync(process.execPath, [tool, folder], { encoding: 'utf8' })
    expect(text).toContain('Every rule holds.')
    for (const line of picture(readFolder(folder))) expect(text).toContain(line)
    const json = JSON.parse(execFileSync(process.execPath, [tool, folder, '--json'], { encoding: 'utf8' }))
    expect(json).toMatchObject({ folder, ok: true, findings: [] })
    expect(json.domains).toHaveLength(readDescription(xml).domains.size)
  })
})
