import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decode, type JwtPayload, verify } from 'jsonwebtoken'
import { canary } from '../src/testing/canary.ts'

// GitHub's API for apps on loopback. What an app says of itself is verified by a library that shares no code with
// what signs it here.

export const APP_ID = '12345'
const LEVELS = ['read', 'write', 'admin']

interface Issued {
  readonly token: string
  readonly permissions: Record<string, string>
  readonly repositories: readonly string[] | undefined
  dead: boolean
}

export interface GitHub {
  readonly origin: string
  readonly privateKey: string
  readonly issued: Issued[]
  /** The last that an app said of itself. */
  said: JwtPayload | undefined
  readonly permissions: Record<string, string>
  readonly installations: Record<string, { readonly login: string; readonly repositories: readonly string[] }>
  /** Answers in the place of the usual ones. */
  next: { readonly status: number; readonly body: object } | undefined
  /** How many requests came. */
  asked: number
  lifeSeconds: number
  /** What it gives besides what was asked for. */
  generous: Record<string, string>
  isSuspended: boolean
  readonly paths: string[]
  close(): Promise<void>
}

const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** As GitHub gives it: PKCS #1. */
export const PEM = keys.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()

export async function openGitHub(now: () => number = Date.now): Promise<GitHub> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const github: GitHub = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    privateKey: PEM,
    issued: [],
    said: undefined,
    permissions: { contents: 'write', issues: 'write', metadata: 'read' },
    installations: { '77': { login: 'acme', repositories: ['api', 'web'] } },
    next: undefined,
    asked: 0,
    lifeSeconds: 3600,
    generous: {},
    isSuspended: false,
    paths: [],
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }

  function asApp(request: IncomingMessage): Answer | undefined {
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    try {
      if (decode(token, { complete: true })?.header.alg !== 'RS256') return unauthorized()
      const clockTimestamp = Math.floor(now() / 1000)
      const options = { algorithms: ['RS256' as const], issuer: APP_ID, clockTimestamp }
      const said = verify(token, keys.publicKey, options) as JwtPayload
      const { iat = 0, exp = 0 } = said
      const seconds = now() / 1000
      if (iat > seconds || exp > seconds + 600 || exp - iat > 600)
        return [401, { message: "'Expiration time' claim ('exp') is too far in the future" }]
      github.said = said
      return undefined
    } catch {
      return unauthorized()
    }
  }

  function issue(id: string, asked: Asked): Answer {
    const there = github.installations[id]
    if (there === undefined) return [404, { message: 'Not Found' }]
    if (github.isSuspended) return [403, { message: 'This installation has been suspended' }]
    const { permissions = github.permissions, repositories } = asked
    const beyond = Object.entries(permissions).some(
      ([name, level]) => LEVELS.indexOf(level) > LEVELS.indexOf(github.permissions[name] ?? ''),
    )
    if (beyond || repositories?.some((name) => !there.repositories.includes(name)))
      return [422, { message: 'There is at least one permission or repository that is not there' }]
    const given = { metadata: 'read', ...permissions, ...github.generous }
    const token = `ghs_${canary(`installation-${github.issued.length}`)}`
    github.issued.push({ token, permissions: given, repositories, dead: false })
    const named = repositories?.map((name, at) => ({ id: at, name, full_name: `${there.login}/${name}` }))
    return [
      201,
      {
        token,
        expires_at: new Date(now() + github.lifeSeconds * 1000).toISOString().replace(/\.\d+/, ''),
        permissions: given,
        repository_selection: repositories === undefined ? 'all' : 'selected',
        ...(named && { repositories: named }),
      },
    ]
  }

  function asInstallation(request: IncomingMessage, path: string): Answer {
    const token = request.headers.authorization?.replace(/^Bearer /, '')
    const known = github.issued.find((one) => one.token === token && !one.dead)
    if (known === undefined) return unauthorized()
    if (request.method === 'DELETE' && path === '/installation/token') {
      known.dead = true
      return [204, undefined]
    }
    return [200, { repositories: known.repositories ?? 'all', permissions: known.permissions }]
  }

  function answer(request: IncomingMessage, body: string): Answer {
    const path = (request.url ?? '').replace(/^\/api\/v3/, '').replace(/\?.*$/, '')
    if (!path.startsWith('/app/')) return asInstallation(request, path)
    const refused = asApp(request)
    if (refused !== undefined) return refused
    if (path === '/app/installations')
      return [
        200,
        Object.entries(github.installations).map(([id, { login }]) => ({
          id: Number(id),
          account: { login },
        })),
      ]
    const [, id = ''] = /^\/app\/installations\/(\d+)\/access_tokens$/.exec(path) ?? []
    return issue(id, JSON.parse(body || '{}') as Asked)
  }

  server.on('request', async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    github.asked += 1
    github.paths.push(request.url ?? '')
    const { next } = github
    const [status, said] = next ? [next.status, next.body] : answer(request, Buffer.concat(pieces).toString())
    response.writeHead(status, { 'content-type': 'application/json' }).end(said && JSON.stringify(said))
  })
  return github
}

type Answer = readonly [status: number, said: object | undefined]

interface Asked {
  readonly permissions?: Record<string, string>
  readonly repositories?: readonly string[]
}

function unauthorized(): Answer {
  return [401, { message: 'A JSON web token could not be decoded' }]
}
