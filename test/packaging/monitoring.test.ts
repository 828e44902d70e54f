// Checks that each expression of the dashboard and the alerts names metrics and labels that a host exports.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start, type Daemon } from '@service-fs/hosted/tenant/daemon'
import { FrontMetrics } from '@service-fs/hosted/front/metrics'
import { StorageError } from '@service-fs/storage/errors'
import { MemoryStorage } from '@service-fs/storage/memory'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'

let root = ''
let daemon: Daemon | undefined
/** Labels by metric; a histogram appears under its name and its series' names. */
const shown = new Map<string, Set<string>>()

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fs-mon-'))
  const socket = join(root, 'socket')
  daemon = await start(
    { moduleId: 'acme', root, listen: { path: socket }, origin: undefined },
    () => undefined,
  )
  const failing = new MemoryStorage()
  failing.commit = () => Promise.reject(new StorageError('full', 'no space'))
  await daemon.tenant.metrics
    .timed(failing, 'main')
    .commit(1, new Uint8Array(1))
    .catch(() => undefined)
  await daemon.tenant.audit.append([{ id: 'a', type: 'text/plain', payload: new Uint8Array(1) }])
  await daemon.tenant.wire.handle({
    method: 'POST',
    target: '/v1/rehash',
    header: (name) =>
      ({ 'x-foundry-module-id': 'acme', 'content-type': 'application/json' })[name as 'content-type'],
    body: Buffer.from('{"hash":"sha3-256"}'),
  })
  daemon.tenant.metrics.answered('GET', 500, 1)
  const front = new FrontMetrics({ tenants: () => ['acme'], running: () => new Map([['acme', socket]]) })
  front.answered('GET', 200, 0.1)
  const unreachable = { has: () => true, began: () => undefined, ended: () => undefined }
  const tenants = front.watched({ ...unreachable, reach: () => Promise.reject(new Error('gone')) })
  await tenants.reach('acme').catch(() => undefined)
  collect((await front.all()).text)
})
afterAll(async () => {
  await daemon?.stop()
  await rm(root, { recursive: true, force: true })
})

function collect(text: string): void {
  for (const line of text.split('\n')) {
    const declared = /^# TYPE (\S+)/.exec(line)?.[1]
    if (declared !== undefined) shown.set(declared, new Set())
    const series = /^([a-z_]+)(?:\{(.*)\})? /.exec(line)
    if (series === null) continue
    const [, name = '', labels = ''] = series
    const known = shown.get(name) ?? new Set()
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
    shown.set(name, known)
  }
}

/** PromQL keywords that precede a parenthesis or join expressions. */
const WORDS = new Set(
  'sum count min max by and or unless offset rate increase changes predict_linear histogram_quantile label_values time'.split(
    ' ',
  ),
)

/** The metrics in an expression, each with its label matchers. */
function metricsOf(expression: string): { name: string; labels: string[] }[] {
  const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/))
  const bare = expression.replaceAll(/\bby \([^)]*\)/g, '').replaceAll(/\[[^\]]*\]/g, '')
  return [...bare.matchAll(/\b([a-z][a-z0-9_]*)\b(?:\{([^}]*)\})?/g)]
    .map(([, name = '', matchers = '']) => ({
      name,
      labels: [...grouped, ...[...matchers.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label)],
    }))
    .filter(({ name }) => !WORDS.has(name) && !/^e\d+$/.test(name))
}

function check(expression: string): void {
  const metrics = metricsOf(expression)
  expect(metrics.length, expression).toBeGreaterThan(0)
  for (const { name, labels } of metrics) {
    const known = shown.get(name)
    expect(known, `${expression}: no metric ${name}`).toBeDefined()
    for (const label of labels)
      expect([...(known ?? [])], `${expression}: labels of ${name}`).toContain(label)
  }
}

interface Panel {
  type: string
  title: string
  targets?: { expr: string; legendFormat: string }[]
}

it('the dashboard uses existing metrics', async () => {
  const dashboard = JSON.parse(
    await readFile(join(repoRoot, 'packaging/grafana/service-fs.json'), 'utf8'),
  ) as {
    panels: Panel[]
    templating: { list: { query: unknown }[] }
  }
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')
  expect(panels.length).toBeGreaterThan(20)
  for (const { title, targets = [] } of panels) {
    expect(targets.length, title).toBeGreaterThan(0)
    for (const { expr, legendFormat } of targets) {
      check(expr)
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect(
          metricsOf(expr).some(({ name }) => shown.get(name)?.has(label)),
          `${title}: ${label}`,
        ).toBe(true)
    }
  }
  expect(JSON.stringify(dashboard.templating)).toContain('label_values(service_fs_tree_size, tenant)')
})

it('every metric of the service is on the dashboard', async () => {
  const text = await readFile(join(repoRoot, 'packaging/grafana/service-fs.json'), 'utf8')
  const families = [...shown.keys()].filter(
    (name) => name.startsWith('service_fs_') && !/_(?:bucket|sum|count)$/.test(name),
  )
  // The dashboard omits the storage verbs' state, and the version is not a series.
  const closer = ['service_fs_info', 'service_fs_storage_seconds', 'service_fs_queue_bytes']
  for (const name of families) if (!closer.includes(name)) expect(text).toContain(name)
})

it('the alerts use existing metrics', async () => {
  const text = await readFile(join(repoRoot, 'packaging/prometheus/service-fs.rules.yml'), 'utf8')
  const expressions = [...text.matchAll(/^ +expr: (.*)$/gm)].map(([, expression = '']) => expression)
  expect(expressions.length).toBe([...text.matchAll(/^ +- alert: /gm)].length)
  for (const expression of expressions) check(expression)
})

it('the check of alerts finds an expression that names a missing metric', () => {
  expect(() => check('rate(service_fs_made_up_total[5m])')).toThrow('no metric service_fs_made_up_total')
  expect(() => check('sum by (colour) (service_fs_tree_size)')).toThrow('labels of service_fs_tree_size')
  expect(() => check('service_fs_tree_size{shape="round"}')).toThrow('labels of service_fs_tree_size')
})
