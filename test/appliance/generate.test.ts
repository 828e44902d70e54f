// The system description generated from the list of tenants.
import { describe, expect, it } from 'vitest'
import { generate } from '../../microkit/generate.mjs'

const tenant = (moduleId: string, port?: number) => ({
  moduleId,
  program: ['./x.c'],
  ...(port === undefined ? {} : { port }),
})
const two = generate({ tenants: [tenant('acme', 80), tenant('globex', 81)] }).description

/** Returns the domains that map a region, with their permissions. */
const holders = (region: string) =>
  [...two.domains.values()].flatMap(({ name, mappings }) =>
    mappings.flatMap((mapping) => (mapping.region === region ? [`${name} ${mapping.perms}`] : [])),
  )

const regionsOf = (name: string) => two.domains.get(name)?.mappings.map(({ region }) => region) ?? []

describe('the system description', () => {
  it('gives the data disk to blk alone, and the ring to it to psdb alone', () => {
    expect(holders('blk_device')).toEqual(['blk rw'])
    expect(holders('blk_queue')).toEqual(['blk rw'])
    expect(holders('disk_data')).toEqual(['psdb rw'])
    expect(holders('ring_psdb_to_blk').sort()).toEqual(['blk r', 'psdb rw'])
    expect(holders('ring_blk_to_psdb').sort()).toEqual(['blk rw', 'psdb r'])
  })

  it('gives the key disk to keys alone, and each tenant its own ring to keys', () => {
    expect(holders('keys_device')).toEqual(['keys rw'])
    expect(holders('keys_queue')).toEqual(['keys rw'])
    expect(holders('random_keys').sort()).toEqual(['entropy rw', 'keys r'])
    expect(holders('keys_acme').sort()).toEqual(['keys rw', 'ledger_acme rw'])
    expect(holders('ring_keys_to_ledger_acme').sort()).toEqual(['keys rw', 'ledger_acme r'])
  })

  it('lets two tenants share only the time, which neither can set', () => {
    const shared = regionsOf('ledger_acme').filter((region) => regionsOf('ledger_globex').includes(region))
    expect(shared).toEqual(['time'])
    expect(holders('time')).toEqual(['clock rw', 'ledger_acme r', 'ledger_globex r'])
  })

  it('gives each device page and each interrupt to one domain', () => {
    for (const { name, device } of two.regions.values()) {
      if (device !== undefined) expect(holders(name)).toHaveLength(1)
    }
    const irqs = [...two.domains.values()].flatMap((domain) => domain.irqs.map(({ irq }) => irq))
    expect(new Set(irqs).size).toBe(irqs.length)
  })

  it('states priority, budget, period, stack, permissions and page size of every element', () => {
    const xml = two.xml()
    const count = (pattern: RegExp) => xml.match(pattern)?.length
    expect(
      count(/<protection_domain [^>]*priority="\d+" budget="\d+" period="\d+" stack_size="0x[0-9a-f]+"/g),
    ).toBe(two.domains.size)
    expect(count(/<memory_region [^>]*page_size="0x/g)).toBe(two.regions.size)
    expect(count(/<map [^>]*perms="rw?" cached="(true|false)"/g)).toBe(count(/<map /g))
    expect(xml).not.toMatch(/perms="[^"]*x/)
  })

  it('has room for 31 tenants', () => {
    const tenants = Array.from({ length: 31 }, (_, index) => tenant(`t${index}`, 8000 + index))
    const { header } = generate({ tenants })
    expect(header).toContain('#define TENANT_COUNT 31\n')
    expect(() => generate({ tenants: [...tenants, tenant('more')] })).toThrow('expected a list of 1 to 31')
  })

  it('gives each ledger a distinct origin', () => {
    const { header } = generate({ tenants: [tenant('a'), { ...tenant('b'), origin: 'example.org/b' }] })
    expect(header).toContain('#define TENANT_ORIGINS {"service-fs.local/ledger/a", "example.org/b"}\n')
    for (const origin of ['', 'a b', 'a+b', 'a\n', 'a\u3000', 'x'.repeat(251)]) {
      expect(() => generate({ tenants: [{ ...tenant('a'), origin }] })).toThrow('tenants[0].origin')
    }
    const named = (origin: string) => ({ ...tenant(origin.replaceAll('/', '-')), origin })
    expect(() => generate({ tenants: [named('x'), named('x/audit')] })).toThrow(
      'tenants[1].origin: x/audit names a key of tenants[0] too',
    )
    expect(() => generate({ tenants: [named('x'), { ...tenant('y'), origin: 'x' }] })).toThrow(
      'tenants[1].origin: x names a key of tenants[0] too',
    )
  })

  it('refuses a tenant whose region names would collide with others', () => {
    const tenants = [tenant('input', 80)]
    expect(() => generate({ tenants, network: { dhcp: true } })).toThrow(
      'two regions would be called net_input',
    )
  })

  it('refuses an invalid list, and names the place', () => {
    expect(() => generate({ tenants: [tenant('Acme')] })).toThrow('tenants[0].moduleId')
    expect(() => generate({ tenants: [tenant('acme', 0)] })).toThrow('tenants[0].port')
    expect(() => generate({ tenants: [tenant('a'), tenant('a')] })).toThrow(
      'tenants[1].moduleId: tenants[0] has "a", too',
    )
    expect(() => generate({ tenants: [tenant('a', 80), tenant('b', 80)] })).toThrow('tenants[1].port')
    expect(() => generate({ tenants: [tenant('x'.repeat(63))] })).toThrow('at most 63')
  })
})
