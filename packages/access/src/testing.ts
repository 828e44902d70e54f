/** Tools for tests: an issuer on loopback, and requests without a socket. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose'

export interface SigningKey {
  kid: string
  alg: string
  secret: CryptoKey
  jwk: JWK
}

export async function signingKey(kid: string, alg: string = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, secret: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** An OpenID Connect issuer: discovery, JWKS, and tokens signed with any key. */
export class TestIssuer {
  /** The keys in the JWKS. */
  keys: SigningKey[] = []
  /** Members that override those of the discovery document. */
  lie: Record<string, unknown> = {}
  /** The requested paths. */
  readonly asked: string[] = []
  status = 200
  readonly #server: Server | TlsServer
  readonly #scheme: string
  url = ''

  /** `tls`: a certificate and its key in PEM; without it, plain HTTP. */
  constructor(tls?: { cert: string; key: string }) {
    const answer: RequestListener = (request, response) => {
      this.asked.push(request.url ?? '')
      const discovery = { issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.lie }
      const body = request.url === '/keys' ? { keys: this.keys.map(({ jwk }) => jwk) } : discovery
      response.writeHead(this.status, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(body))
    }
    this.#server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer)
    this.#scheme = tls === undefined ? 'http' : 'https'
  }

  async start(port: number = 0): Promise<void> {
    await new Promise<void>((resolve) => void this.#server.listen(port, '127.0.0.1', resolve))
    this.url = `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()))
  }

  /** Returns a token signed with the first key. Omits a claim that is undefined. */
  token(claims: JWTPayload = {}, key: SigningKey | undefined = this.keys[0]): Promise<string> {
    if (key === undefined) throw new Error('the issuer has no key')
    const now = Math.floor(Date.now() / 1000)
    const all = {
      iss: this.url,
      aud: 'ledger',
      sub: 'alice',
      iat: now,
      exp: now + 300,
      scope: 'read',
      ...claims,
    }
    return new SignJWT(JSON.parse(JSON.stringify(all)) as JWTPayload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt' })
      .sign(key.secret)
  }
}

export interface Asked {
  authorization?: string | readonly string[]
  url?: string
  address?: string
}

/** Returns the parts of a request that access reads. */
export function requestWith({
  authorization,
  url = '/v1/entries',
  address = '192.0.2.1',
}: Asked): IncomingMessage {
  const given = authorization === undefined ? undefined : [authorization].flat()
  const headersDistinct = given === undefined ? {} : { authorization: given }
  const socket = { remoteAddress: address, once: () => undefined }
  return { url, headersDistinct, headers: {}, socket } as unknown as IncomingMessage
}
