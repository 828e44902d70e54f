/** What shows nothing of a ledger, and so needs no tenant and is not recorded. */
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'

/** GET /healthz: the process answers. */
export async function healthz(): Promise<Answer> {
  return jsonAnswer('{"alive":true}')
}

/** GET /readyz: the ledger is open, its disk takes writes, the last commit is durable; 503 with the reason otherwise. */
export async function readyz(call: Call): Promise<Answer> {
  const { ready, reason, protections } = await call.options.ready()
  if (!ready) throw new Problem('not-ready', reason ?? 'not ready')
  return jsonAnswer(JSON.stringify({ ready, protections }))
}

/** GET /metrics: Prometheus text. */
export async function metrics(call: Call): Promise<Answer> {
  if (call.options.metrics === undefined) throw new Problem('no-route', 'no metrics here')
  const { contentType, text } = await call.options.metrics()
  return answer(contentType, text)
}
