import { type Desk, type FlowSession, formatAddress, parseAddress, ValetkeyError } from '#client'

// What a library of the Model Context Protocol is told, so that it goes no way of its own: an authorization
// server that there is not. `.invalid` is nobody's, and never will be (RFC 2606).
const ISSUER = 'https://valetkey.invalid'
const COMES_BACK = 'http://127.0.0.1/valetkey'
const FOUND = {
  authorizationServerUrl: ISSUER,
  authorizationServerMetadata: {
    issuer: ISSUER,
    authorization_endpoint: `${ISSUER}/authorize`,
    token_endpoint: `${ISSUER}/token`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
  },
  resourceMetadata: { resource: ISSUER },
}

/** The part of a Valetkey that is needed here. */
export type McpDesk = Pick<Desk, 'lend' | 'connect' | 'reconnect' | 'cancel'>

export interface McpAuthOptions {
  /** What the tokens are lent for, in printable ASCII of at most 200 characters. */
  readonly purpose?: string
  /** Shows a person the link or the code of a sign-in that was begun. */
  readonly show?: (session: FlowSession) => void | Promise<void>
}

/** As the TypeScript libraries of the protocol, of both versions, write the token that they were lent. */
export interface McpTokens {
  access_token: string
  token_type: string
  issuer: string
  scope?: string
  expires_in?: number
}

/** An `OAuthClientProvider` of those libraries. */
export interface McpAuth {
  readonly redirectUrl: string
  readonly clientMetadata: { client_name: string; redirect_uris: string[] }
  clientInformation(): { client_id: string; issuer: string }
  discoveryState(): typeof FOUND
  validateResourceURL(server: string | URL): Promise<URL>
  tokens(): Promise<McpTokens | undefined>
  saveTokens(): void
  saveCodeVerifier(): void
  codeVerifier(): never
  redirectToAuthorization(url: URL): Promise<never>
}

/** An `AuthProvider` of the second version: the same, and a request that was refused is sent once more. */
export interface McpBearer {
  token(): Promise<string | undefined>
  onUnauthorized(): Promise<void>
}

/**
 * Has a client of the Model Context Protocol use an account of Valetkey. Its tokens are lent and never come with
 * what renews them; renewing and signing in are done by the broker, and the library never begins its own way.
 */
export function mcpAuth(valetkey: McpDesk, address: string, options: McpAuthOptions = {}): McpAuth {
  const standing = standingOf(valetkey, address, options)
  return {
    redirectUrl: COMES_BACK,
    clientMetadata: { client_name: 'Valetkey', redirect_uris: [COMES_BACK] },
    clientInformation: () => ({ client_id: 'valetkey', issuer: ISSUER }),
    discoveryState: () => FOUND,
    // Which server a token is for was settled when the account was connected.
    validateResourceURL: async (server) => new URL(server),
    tokens: standing.lend,
    saveTokens: () => {},
    saveCodeVerifier: () => {},
    codeVerifier() {
      throw new ValetkeyError('invalid-request', 'a sign-in comes back to valetkey, and not to the program')
    },
    async redirectToAuthorization(url) {
      const wanted = url.searchParams.get('scope') ?? undefined
      const other = standing.covers(wanted) ? await standing.another() : undefined
      if (other === undefined) throw await standing.signIn(wanted)
      throw new ValetkeyError(
        'invalid-token',
        `the server refused the access to ${address}, which was renewed`,
        {
          hint: 'send the request again',
        },
      )
    },
  }
}

/** The same for a client that does no OAuth itself. */
export function mcpBearer(valetkey: McpDesk, address: string, options: McpAuthOptions = {}): McpBearer {
  const { lend, another, signIn } = standingOf(valetkey, address, options)
  return {
    token: async () => (await lend())?.access_token,
    async onUnauthorized() {
      if ((await another()) === undefined) throw await signIn()
    },
  }
}

/** What was lent last, and what is done where that is not enough. */
function standingOf(valetkey: McpDesk, address: string, { purpose, show }: McpAuthOptions) {
  const said = purpose === undefined ? {} : { purpose }
  let last: McpTokens | undefined

  async function lend(refused?: string): Promise<McpTokens | undefined> {
    try {
      const lent = await valetkey.lend({ address, ...said, ...(refused !== undefined && { refused }) })
      last = {
        access_token: lent.token,
        token_type: lent.tokenType,
        issuer: ISSUER,
        ...(lent.scopes.length > 0 && { scope: lent.scopes.join(' ') }),
        ...(lent.expiresAt !== null && { expires_in: secondsUntil(lent.expiresAt) }),
      }
      return last
    } catch (error) {
      // The server may let in who shows nothing. If it does not, a sign-in is begun.
      if (isToBeSignedIn(error)) return undefined
      throw error
    }
  }

  return {
    lend: () => lend(),
    /** Whether these scopes were granted: then it is not for want of them that the server refuses. */
    covers(wanted = ''): boolean {
      const granted = last?.scope?.split(' ')
      return (
        granted === undefined || wanted.split(' ').every((scope) => scope === '' || granted.includes(scope))
      )
    },
    /** Another one in the place of what the server has refused, where there is any. */
    async another(): Promise<McpTokens | undefined> {
      const refused = last?.access_token
      const other = refused === undefined ? undefined : await lend(refused).catch(() => undefined)
      return other?.access_token === refused ? undefined : other
    },
    async signIn(scopes?: string): Promise<ValetkeyError> {
      const session = await begin(valetkey, address)
      await show?.(session)
      return signInFirst(valetkey, address, session, scopes)
    },
  }
}

function isToBeSignedIn(error: unknown): boolean {
  return error instanceof ValetkeyError && error.reaction === 'reconnect'
}

/** In place where the account is there, and anew where it is not. */
async function begin(valetkey: McpDesk, address: string): Promise<FlowSession> {
  const place = parseAddress(address)
  if (place === undefined) throw new ValetkeyError('not-connected', `no account has the address "${address}"`)
  try {
    return await valetkey.reconnect(formatAddress(place))
  } catch (error) {
    if (!(error instanceof ValetkeyError && error.code === 'not-connected')) throw error
    return valetkey.connect(place)
  }
}

/** Says what a person does now. What has to be typed is asked for by a terminal, and not through a program. */
async function signInFirst(
  valetkey: McpDesk,
  address: string,
  { id, step }: FlowSession,
  scopes: string | undefined,
): Promise<ValetkeyError> {
  const more = scopes === undefined ? '' : `, for ${scopes}`
  const message = `${address} has to be signed in to first${more}`
  const as = (hint: string) => new ValetkeyError('needs-reauth', message, { hint })
  if (step?.ask === 'visit') return as(`open ${step.url} and try again when you are done`)
  if (step?.ask === 'enter-code')
    return as(`enter ${step.code} at ${step.at} and try again when you are done`)
  if (step !== null && step.ask !== 'fill') return as('try again when the sign-in is done')
  await valetkey.cancel(id).catch(() => {})
  return as(`valetkey connect ${address}`)
}

function secondsUntil(time: string): number {
  return Math.max(0, Math.floor((Date.parse(time) - Date.now()) / 1000))
}
