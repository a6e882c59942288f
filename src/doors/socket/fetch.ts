import { Agent, buildConnector, fetch } from 'undici'
import { peerOf } from '../../machine/peer.ts'

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/**
 * `fetch` to a door's socket, streaming both ways. It goes to that socket whatever the URL says. `anybody`
 * where the socket was named to us, which may be for a user who is another one than its owner.
 */
export function socketFetch(path: string, whose: 'ours' | 'anybody' = 'ours'): Fetch {
  const connect = whose === 'ours' ? toOurs(path) : buildConnector({ socketPath: path })
  // How long an answer may take is the business of whoever waits for it.
  const dispatcher = new Agent({ connect, headersTimeout: 0, bodyTimeout: 0 })
  // The library's own types for what is the standard everywhere else.
  const dial = fetch as unknown as (url: string | URL, init: object) => Promise<Response>
  return (url, init) => dial(url, { ...init, dispatcher })
}

/** Another user may have made the socket before us, to be told a secret: nothing is said before the kernel names ours. */
function toOurs(path: string): buildConnector.connector {
  const connect = buildConnector({ socketPath: path })
  return (to, callback) =>
    connect(to, (error, socket) => {
      if (error !== null || socket === null) return callback(error ?? new Error('no socket'), null)
      const uid = process.getuid?.()
      if (uid === undefined || peerOf(socket)?.uid === uid) return callback(null, socket)
      socket.destroy()
      callback(new Error('the socket is another user’s'), null)
    })
}
