// The network part of the system description.
import { describe, expect, it } from 'vitest'
import { generate, NETWORK, type Totebox } from '../../microkit/generate.mjs'

type Network = NonNullable<Totebox['network']>

const list = (count: number, network: unknown = { dhcp: true }): Totebox => ({
  tenants: Array.from({ length: count }, (_, index) => ({
    moduleId: `t${index}`,
    port: 8000 + index,
    program: ['./x.c'],
  })),
  network: network as Network,
})
const { description, header } = generate(list(3))

const holders = (region: string) =>
  [...description.domains.values()].flatMap(({ name, mappings }) =>
    mappings.flatMap((mapping) => (mapping.region === region ? [`${name} ${mapping.perms}`] : [])),
  )

/** Returns the value of a name in the network's header. */
const defined = (text: string, name: string) => {
  const part = /#ifdef DOMAIN_NET\n([^]*?)#endif/.exec(text)?.[1] ?? ''
  return new RegExp(`#define ${name} (.*)`).exec(part)?.[1]
}

const refused = (network: unknown) => () => generate(list(1, network))

describe('the network in the system description', () => {
  it('gives the card to net alone', () => {
    expect(holders('net_device')).toEqual(['net rw'])
    expect(holders('net_queue')).toEqual(['net rw'])
    const holds = [...description.domains.values()].filter((domain) =>
      domain.irqs.some(({ irq }) => irq === 48 + NETWORK),
    )
    expect(holds.map(({ name }) => name)).toEqual(['net'])
  })

  it('gives each ledger its own channel to net', () => {
    for (const id of ['t0', 't1', 't2']) {
      expect(holders(`net_${id}`).toSorted()).toEqual([`ledger_${id} rw`, 'net rw'])
      expect(holders(`ring_ledger_${id}_to_net`).toSorted()).toEqual([`ledger_${id} rw`, 'net r'])
      expect(holders(`ring_net_to_ledger_${id}`).toSorted()).toEqual([`ledger_${id} r`, 'net rw'])
    }
  })

  it('divides the connections among the tenants', () => {
    expect(defined(header, 'CONNECTIONS_EACH')).toBe('64')
    expect(defined(generate(list(31)).header, 'CONNECTIONS_EACH')).toBe('8')
    expect(defined(header, 'TENANT_PORTS')).toBe('{8000, 8001, 8002}')
  })

  it('uses the address from the list', () => {
    const fixed = { address: '10.0.2.15', netmask: '255.255.255.0', gateway: '10.0.2.2' }
    const text = generate(list(1, fixed)).header
    expect(defined(text, 'NET_DHCP')).toBe('0')
    expect(defined(text, 'NET_ADDRESS')).toBe('0xa00020fu')
    expect(defined(text, 'NET_NETMASK')).toBe('0xffffff00u')
    expect(defined(text, 'NET_GATEWAY')).toBe('0xa000202u')
    expect(defined(header, 'NET_DHCP')).toBe('1')
  })

  it('refuses an invalid address, and names the place', () => {
    expect(refused({ address: '10.0.2', netmask: '255.255.255.0' })).toThrow('network.address')
    expect(refused({ address: '10.0.2.256', netmask: '255.255.255.0' })).toThrow('network.address')
    expect(refused({ address: '10.0.2.1', netmask: '255.0.255.0' })).toThrow('network.netmask')
    expect(refused({ address: '10.0.2.1', netmask: '255.0.0.0', gateway: 'x' })).toThrow('network.gateway')
    expect(refused({ dhcp: true, address: '10.0.2.1' })).toThrow('network')
    expect(refused({ dhcp: false })).toThrow('network')
  })
})
