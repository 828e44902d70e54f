/** The process's metrics. Nothing here runs between two scrapes, because a host has many idle tenants. */
import { readdir } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from './prom.ts'
import { VERSION } from '../version.ts'

/** Registers the process's metrics, under the usual names of Prometheus clients where they exist. */
export function watchProcess(register: Registry): void {
  const registers = [register]
  const gauge = (name: string, help: string, value: () => number | Promise<number>): void => {
    const shown = new Gauge({
      name,
      help,
      registers,
      async collect() {
        shown.set(await value())
      },
    })
  }
  const total = (name: string, help: string, value: () => number): void => {
    const shown = new Counter({
      name,
      help,
      registers,
      collect() {
        shown.reset()
        shown.inc(value())
      },
    })
  }
  const started = Date.now() / 1000 - process.uptime()
  gauge('process_start_time_seconds', 'When the process started, in seconds since 1970.', () => started)
  total('process_cpu_seconds_total', 'Processor time of the process, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss())
  gauge('process_open_fds', 'Open file descriptors; 0 when the system does not report them.', openFiles)
  gauge(
    'nodejs_heap_used_bytes',
    'Bytes in use of the JavaScript heap.',
    () => process.memoryUsage().heapUsed,
  )
  total(
    'nodejs_eventloop_busy_seconds_total',
    'Time that the event loop was busy: at a rate near 1, requests wait for it.',
    () => performance.eventLoopUtilization().active / 1000,
  )
  new Gauge({
    name: 'service_fs_info',
    help: '1; the labels name the versions of the software.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: VERSION, node: process.version }, 1)
}

async function openFiles(): Promise<number> {
  try {
    return (await readdir('/proc/self/fd')).length
  } catch {
    return 0
  }
}
