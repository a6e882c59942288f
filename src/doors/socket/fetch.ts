import { Agent, fetch } from 'undici'

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/** `fetch` to a door's socket, streaming both ways. It goes to that socket whatever the URL says. */
export function socketFetch(path: string): Fetch {
  // How long an answer may take is the business of whoever waits for it.
  const dispatcher = new Agent({ connect: { socketPath: path }, headersTimeout: 0, bodyTimeout: 0 })
  // The library's own types for what is the standard everywhere else.
  const dial = fetch as unknown as (url: string | URL, init: object) => Promise<Response>
  return (url, init) => dial(url, { ...init, dispatcher })
}
