/** A separate listener that serves only a host's /metrics, so that Prometheus needs no credentials. */
import type { Listen } from '@service-fs/http/address'
import type { IncomingMessage } from 'node:http'
import { hostName, isLocalName } from '@service-fs/wire/host-name'
import { Problem, problemResponse } from '@service-fs/wire/problem'
import { startListener, type HttpServer } from '@service-fs/http/listener'
import { sendAnswer } from '@service-fs/http/answer'

/** Starts the listener, for clients on this machine: it accepts only local host names. @throws HostedError `listen` */
export function startMetricsListener(
  listen: Listen,
  metrics: () => Promise<{ contentType: string; text: string }>,
  report: (error: unknown) => void,
): Promise<HttpServer> {
  return startListener(listen, { report, maxConnections: 64 }, async (raw, out) => {
    const refusal = refusalOf(raw)
    if (refusal !== undefined) return sendAnswer(raw, out, problemResponse(refusal))
    const { contentType, text } = await metrics()
    const headers = { 'content-type': contentType, 'cache-control': 'no-store' }
    await sendAnswer(raw, out, { status: 200, headers, body: text, compressible: true })
  })
}

function refusalOf(raw: IncomingMessage): Problem | undefined {
  if (!isLocalName(hostName(raw.headers.host ?? '')))
    return new Problem('misdirected', 'Host: expected a loopback address or localhost')
  if (raw.url === '/metrics' && (raw.method === 'GET' || raw.method === 'HEAD')) return undefined
  return new Problem('no-route', 'this listener serves only GET /metrics')
}
