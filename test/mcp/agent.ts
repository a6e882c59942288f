import {
  Client,
  type FetchLike,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { BIN, type RealHome } from '../real.ts'

/** An agent's client, and all that it ever got to see. */
export interface Agent {
  readonly client: Client
  call(tool: string, args?: Readonly<Record<string, unknown>>): Promise<Called>
  /** Every message that came to it, as text. */
  seen(): string
  close(): Promise<void>
}

export interface Called {
  readonly failed: boolean
  // biome-ignore lint/suspicious/noExplicitAny: what comes back is looked at by the test
  readonly answer: any
}

interface Told {
  readonly alsoSeen?: () => string
  /** Of the protocol, where it is not the one that the library begins with. */
  readonly revision?: string | undefined
}

/** The library's own client over a way in of any kind. */
async function agentOver(transport: Transport, { alsoSeen = () => '', revision }: Told = {}): Promise<Agent> {
  const versionNegotiation = revision === undefined ? {} : { mode: { pin: revision } }
  const client = new Client({ name: 'agent', version: '1.0.0' }, { versionNegotiation })
  const seen: string[] = []
  await client.connect(recording(transport, seen))
  return {
    client,
    async call(name, args = {}) {
      const { isError, structuredContent } = await client.callTool({ name, arguments: { ...args } })
      return { failed: isError === true, answer: structuredContent }
    },
    seen: () => seen.join('\n') + alsoSeen(),
    close: () => client.close(),
  }
}

/** `valetkey mcp` in a process of its own. */
export async function agentOverStdio(
  home: RealHome,
  words: readonly string[] = [],
  revision?: string,
): Promise<Agent> {
  const env = Object.fromEntries(Object.entries(home.env).filter(([, value]) => value !== undefined))
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [BIN, 'mcp', ...words],
    env: env as Record<string, string>,
    stderr: 'pipe',
  })
  let said = ''
  transport.stderr?.on('data', (piece) => {
    said += piece
  })
  return agentOver(transport, { alsoSeen: () => said, revision })
}

export function agentOverHttp(
  url: string | URL,
  fetch: FetchLike,
  headers: Record<string, string> = {},
  revision?: string,
) {
  return agentOver(new StreamableHTTPClientTransport(new URL(url), { fetch, requestInit: { headers } }), {
    revision,
  })
}

/** The same transport; writes down whatever comes in by it. */
function recording(transport: Transport, seen: string[]): Transport {
  return new Proxy(transport, {
    get(of, name) {
      const value = Reflect.get(of, name)
      return typeof value === 'function' ? value.bind(of) : value
    },
    set(of, name, value) {
      const kept =
        name === 'onmessage' || name === 'onerror'
          ? (told: unknown, ...more: unknown[]) => {
              seen.push(told instanceof Error ? `${told.stack} ${told.cause}` : JSON.stringify(told))
              value?.(told, ...more)
            }
          : value
      return Reflect.set(of, name, kept)
    },
  })
}
