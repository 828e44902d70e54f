/** Reads certificates and their private key. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { HostedError } from '@service-fs/http/errors'
import type { TlsMaterial } from '@service-fs/http/listener'
import { readGuarded } from './guarded-file.ts'
import type { TlsConfig } from './config.ts'

/** Reads and checks the files. @throws HostedError `access` */
export async function readTls({ certificate, key, clientCa }: TlsConfig): Promise<TlsMaterial> {
  const chain = await readCertificates(certificate)
  const secret = await readGuarded(key, 'group')
  const ca = clientCa === undefined ? undefined : await readCertificates(clientCa)
  if (!certificateOf(certificate, chain).checkPrivateKey(privateKeyOf(key, secret)))
    throw new HostedError('access', `${key}: not the private key of ${certificate}`)
  return { certificate: chain, key: secret, ...(ca === undefined ? {} : { clientCa: ca }) }
}

/** Returns the text of a file of certificates. @throws HostedError `access` */
export async function readCertificates(path: string): Promise<string> {
  const pem = await readGuarded(path, 'public')
  certificateOf(path, pem)
  return pem
}

function certificateOf(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new HostedError('access', `${path}: expected a certificate in PEM`)
  }
}

function privateKeyOf(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // Do not include the cause, because it may quote the secret.
    throw new HostedError('access', `${path}: expected an unencrypted private key in PEM`)
  }
}
