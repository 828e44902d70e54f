/** URLs that keys are fetched from. */
import { hostName, isLocalName } from '@service-fs/wire/host-name'

/** Whether what comes from there is who it says: https, or http on this machine; without user and fragment, and without query unless said. */
export function isSecure(text: string, query?: 'query'): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, host, search, hash, username, password } = new URL(text)
  if ((search !== '' && query === undefined) || hash !== '' || username !== '' || password !== '')
    return false
  return protocol === 'https:' || (protocol === 'http:' && isLocalName(hostName(host)))
}
