/** A front for tests. */
import type { HttpServer } from '@service-fs/http/listener'
import { startFront, type FrontOptions } from './front.ts'

type Tenants = FrontOptions['tenants']

/**
 * Starts a front for everybody, whose tenant `test` listens on a unix socket. Where other fronts report an error, this
 * front throws it.
 */
export function startTestFront(
  path: string,
  { tenants, ...options }: Partial<Omit<FrontOptions, 'tenants'>> & { tenants?: Partial<Tenants> } = {},
): Promise<HttpServer> {
  return startFront({
    listen: { host: '127.0.0.1', port: 0 },
    access: { open: true, check: async () => ({ subject: 'anonymous', roles: undefined }) },
    tenants: {
      has: (id) => id === 'test',
      reach: async () => path,
      ...(tenants?.reach === undefined ? { reached: () => path } : {}),
      began: () => undefined,
      ended: () => undefined,
      ...tenants,
    },
    report: (error) => {
      throw error
    },
    ...options,
  })
}
