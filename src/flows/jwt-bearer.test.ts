import { generateKeyPairSync } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FlowContext, FlowTurn } from '../model/flow.ts'
import { Secret } from '../model/secret.ts'
import { openNetwork } from '../network/network.ts'
import { openCatalogue } from '../providers/catalogue.ts'
import { canary } from '../testing/canary.ts'
import { flowContract } from '../testing/flow-contract.ts'
import { issuedBy, oauthStage } from '../testing/oauth-stage.ts'
import {
  type ListeningStandIn,
  type StandInAnswer,
  type StandInRequest,
  standIn,
} from '../testing/stand-in.ts'
import { jwtBearerFlow } from './jwt-bearer.ts'

// A token endpoint on loopback that believes nothing but what another library has verified.

const WHO = 'reports@a-project.iam.gserviceaccount.com'
const KEY_ID = 'a1b2c3'
const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_only'
const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 })
const ours = pair()
const [publicKey, privateKey] = [
  ours.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  ours.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
]
const another = pair().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** What it does in the place of an honest answer. */
type Script = (honest: StandInAnswer) => StandInAnswer

async function tokenServer() {
  const issued: string[] = []
  const statements: jwt.Jwt[] = []
  const bodies: URLSearchParams[] = []
  let script: Script = (honest) => honest
  const take = async ({ body }: StandInRequest): Promise<StandInAnswer> => {
    const form = new URLSearchParams((await body).toString())
    bodies.push(form)
    return script(judged(form))
  }
  const judged = (form: URLSearchParams): StandInAnswer => {
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      return refused('invalid_request')
    try {
      const statement = jwt.verify(form.get('assertion') ?? '', publicKey, {
        algorithms: ['RS256'],
        audience: `${there.origin}/token`,
        issuer: WHO,
        maxAge: '1h',
        complete: true,
      })
      if (statements.some(({ payload }) => payloadOf(payload).jti === payloadOf(statement.payload).jti))
        return refused('invalid_grant')
      statements.push(statement)
      issued.push(canary('issued'))
      return { body: { access_token: issued.at(-1), token_type: 'Bearer', expires_in: 3599 } }
    } catch {
      return refused('invalid_grant')
    }
  }
  const there: ListeningStandIn = await standIn({ 'POST /token': take }).listen()
  return {
    there,
    issued,
    statements,
    bodies,
    play: (next: Script) => {
      script = next
    },
  }
}

function refused(error: string): StandInAnswer {
  return { status: 400, body: { error, error_description: 'Invalid JWT Signature.' } }
}

function payloadOf(payload: jwt.Jwt['payload']): jwt.JwtPayload {
  if (typeof payload === 'string') throw new Error('it states nothing')
  return payload
}

let ids = 0
let server: Awaited<ReturnType<typeof tokenServer>>

beforeEach(async () => {
  server = await tokenServer()
})

afterEach(() => server.there.close())

function contextAt(known: Readonly<Record<string, string>> = {}, at = server): FlowContext {
  const { origin } = at.there
  const context = oauthStage(
    { openCatalogue, openNetwork },
    {
      oauth: { authorize: `${origin}/authorize`, token: `${origin}/token` },
      scopes: [],
      provider: { revoke: { how: 'console' } },
      signIn: {
        flow: 'jwt-bearer',
        fields: [
          { name: 'key', label: 'Service account key', secret: true },
          { name: 'subject', label: 'In the place of', secret: false, optional: true },
          { name: 'scopes', label: 'Scopes', secret: false, optional: true },
        ],
        assertion: {
          is: { '/type': 'service_account' },
          issuer: '/client_email',
          privateKey: '/private_key',
          keyId: '/private_key_id',
          endpoint: '/token_uri',
          usual: [SCOPE],
        },
        console: 'https://acme.test/keys',
      },
      known,
      allow: [origin],
    },
  )
  const newId = () => {
    ids += 1
    return `id-${ids}`
  }
  return { ...context, client: undefined, newId }
}

/** The file that the provider hands out, over several lines. */
function document(change: object = {}, at = server): string {
  const file = {
    type: 'service_account',
    project_id: 'a-project',
    private_key_id: KEY_ID,
    private_key: privateKey,
    client_email: WHO,
    client_id: '1234567890',
    token_uri: `${at.there.origin}/token`,
  }
  return `${JSON.stringify({ ...file, ...change }, undefined, 2)}\n`
}

const flow = jwtBearerFlow()
const fields = (values: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)])),
})
const last = () => {
  const statement = server.statements.at(-1)
  if (statement === undefined) throw new Error('nothing was stated')
  return { header: statement.header, payload: payloadOf(statement.payload) }
}

flowContract('jwt-bearer, at a server that verifies with another library', async () => {
  const here = await tokenServer()
  const body = privateKey.split('\n')[1] ?? ''
  return {
    flow: () => jwtBearerFlow(),
    context: contextAt({}, here),
    answer: () => fields({ key: document({}, here) }),
    wrongAnswer: () => fields({ key: document({ private_key: another }, here) }),
    secrets: [body, another.split('\n')[1] ?? ''],
    close: () => here.there.close(),
  }
})

describe('an account that is no person’s', () => {
  it('states who it is, what for and for how long, signed by its key, of which nothing else is shown', async () => {
    const now = new Date()
    const { credential, profile } = issuedBy(await flow.begin(contextAt({ key: document() })))
    const { header, payload } = last()
    expect(header).toEqual({ alg: 'RS256', typ: 'JWT', kid: KEY_ID })
    const { iat = 0, exp = 0, jti, ...stated } = payload
    expect(stated).toEqual({ iss: WHO, aud: `${server.there.origin}/token`, scope: SCOPE })
    expect(jti).toBe(`id-${ids}`)
    expect(exp - iat).toBe(3600)
    expect(iat).toBeLessThanOrEqual(now.getTime() / 1000 + 1)
    expect([...(server.bodies[0]?.keys() ?? [])].sort()).toEqual(['assertion', 'grant_type'])
    expect(credential).toMatchObject({ standing: false, scopes: [SCOPE], tokenType: 'Bearer' })
    expect(credential.worn['accessToken']?.reveal()).toBe(server.issued[0])
    expect(Number(credential.expiresAt) - now.getTime()).toBeGreaterThan(3_590_000)
    expect(Object.keys(credential.kept)).toEqual(['key'])
    expect(profile).toMatchObject({ subject: WHO, displayName: WHO })
  })

  it('acts in the place of a person where it is told to, for the scopes that are said and no other', async () => {
    const known = { key: document(), subject: 'zoe@example.com', scopes: 'one two,three' }
    const { credential, profile } = issuedBy(await flow.begin(contextAt(known)))
    expect(last().payload).toMatchObject({ sub: 'zoe@example.com', scope: 'one two three' })
    expect(profile.displayName).toBe(`zoe@example.com, by ${WHO}`)
    const again = await flow.refresh?.(contextAt(), { ...credential, worn: {} })
    expect(last().payload).toMatchObject({ sub: 'zoe@example.com', scope: 'one two three' })
    expect(again?.scopes).toEqual(['one', 'two', 'three'])
  })

  it('is given as its parts by whoever has no file', async () => {
    const parts = { issuer: WHO, privateKey, keyId: KEY_ID }
    const context = contextAt(parts)
    const { credential } = issuedBy(await flow.begin(context))
    expect(last().header.kid).toBe(KEY_ID)
    expect(Object.keys(credential.kept).sort()).toEqual(['issuer', 'keyId', 'privateKey'])
    await flow.refresh?.({ ...context, known: {} }, { ...credential, worn: {} })
    expect(server.statements).toHaveLength(2)
  })

  it.each([
    ['another kind of key', () => document({ type: 'authorized_user' }), 'its type is not service_account'],
    ['a key for another server', () => document({ token_uri: 'https://evil.test/token' }), 'another server'],
    ['a key without a name', () => document({ client_email: '' }), 'no usable issuer'],
    ['a key without a key', () => document({ private_key: 7 }), 'no private key'],
    ['what is no file at all', () => canary('key'), 'it is no JSON'],
    ['a key that is no RSA key', () => document({ private_key: elliptic() }), 'not an RSA key'],
  ])('asks again for %s, which it sends nowhere and repeats nothing of', async (_, key, why) => {
    const first = stepOf(await flow.begin(contextAt()))
    expect(first.step).toMatchObject({ ask: 'fill', at: new URL('https://acme.test/keys') })
    const again = stepOf(await flow.next(contextAt(), first.memory, fields({ key: key() })))
    expect(again.step).toMatchObject({
      ask: 'fill',
      code: 'key-format',
      because: expect.stringContaining(why),
    })
    expect(JSON.stringify(again.step)).not.toMatch(/CANARY|PRIVATE KEY|evil/)
    expect(server.there.requests).toEqual([])
  })

  it('asks again when the provider does not know its key, and says why', async () => {
    const key = document({ private_key: another })
    const again = stepOf(await flow.begin(contextAt({ key })))
    expect(again.step).toMatchObject({ code: 'invalid-credentials' })
    server.play(() => refused('unauthorized_client'))
    const refusedToAct = stepOf(await flow.begin(contextAt({ key: document(), subject: 'zoe@example.com' })))
    expect(refusedToAct.step).toMatchObject({ code: 'refused-by-policy' })
  })

  it('is over when its key is, and not because of anything else', async () => {
    const context = contextAt({ key: document() })
    const { credential } = issuedBy(await flow.begin(context))
    const outcomeOf = async (script: Script) => {
      server.play(script)
      return flow.refresh?.(context, credential).then(
        () => 'renewed',
        ({ code }) => code,
      )
    }
    expect(await outcomeOf(() => refused('invalid_grant'))).toBe('access-revoked')
    expect(await outcomeOf(() => refused('unauthorized_client'))).toBe('refused-by-policy')
    expect(await outcomeOf(() => ({ status: 400, body: 'opaque' }))).toBe('bad-answer')
    expect(await outcomeOf(() => ({ headers: { 'content-type': 'text/html' }, body: '<html>' }))).toBe(
      'bad-answer',
    )
    expect(await outcomeOf(() => ({ status: 503, body: { error: 'invalid_grant' } }))).toBe('server-error')
  })

  it('takes a token whose life is not told to live as long as was asked for, and no longer', async () => {
    server.play(({ body }) => ({ body: { ...(body as object), expires_in: undefined } }))
    const { credential } = issuedBy(await flow.begin(contextAt({ key: document() })))
    const lives = Number(credential.expiresAt) - Date.now()
    expect(lives).toBeGreaterThan(3_590_000)
    expect(lives).toBeLessThanOrEqual(3_600_000)
  })

  it('says that only a person ends its key, and when the token dies', async () => {
    const context = contextAt({ key: document() })
    const { credential } = issuedBy(await flow.begin(context))
    expect(await flow.revoke(context, credential)).toEqual([
      {
        what: 'access token',
        died: false,
        how: expect.stringMatching(/^it dies by itself at \d\d:\d\d UTC$/),
      },
      { what: 'Service account key', died: false, how: 'only you can end it, at https://acme.test/keys' },
    ])
  })
})

function stepOf(turn: FlowTurn) {
  if (!('step' in turn)) throw new Error('nobody is asked')
  return turn
}

function elliptic(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()
}
