import { createHmac } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { openNetwork } from '../../network/network.ts'
import { judgeMetadata } from '../../protocol/discovery.ts'
import { register } from '../../protocol/registration.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import type { HostileOptions, Script } from '../../testing/hostile-server.ts'
import { hostileStage, type OAuthScene, REDIRECT_URI, signInBy } from '../../testing/oauth-stage.ts'
import { honestIdToken, type SigningKey, signingKey } from '../../testing/signing.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// The modules of the OpenID conformance suite for relying parties, by their names, in the code flow.

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function at(script: Script = {}, options: HostileOptions = {}, scene: Partial<OAuthScene> = {}) {
  const stage = await hostileStage({ openCatalogue, openNetwork }, scene, options)
  closing.push(stage.close)
  stage.there.play(script)
  return { ...stage, flow: authorizationCodeFlow() }
}

async function outcomeOf(script: Script, options: HostileOptions = {}) {
  const { there, context, flow } = await at(script, options)
  const error = await signInBy(flow, context, there.consent).then(
    () => undefined,
    (thrown) => thrown,
  )
  return { there, error }
}

const without = (name: string) => (claims: JWTPayload) => ({ ...claims, [name]: undefined })
const plus = (change: JWTPayload): Script => ({ claims: (claims) => ({ ...claims, ...change }) })
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The last letter carries bits that are not used, so another one is turned over. */
async function forged(claims: JWTPayload, keys: readonly SigningKey[]): Promise<string> {
  const [head, body, signature = ''] = (await honestIdToken(claims, keys)).split('.')
  return [head, body, (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)].join('.')
}

const unsigned = async (claims: JWTPayload) => `${part({ alg: 'none' })}.${part(claims)}.`

/** Signed with what both sides know: the public key, taken for a secret, or the client's own secret. */
const shared = (secret: string) => async (claims: JWTPayload) => {
  const text = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

describe('an ID token is refused', () => {
  it.each<[string, Script, string, HostileOptions?]>([
    ['oidcc-client-test-invalid-iss', plus({ iss: 'https://evil.test' }), '"iss"'],
    ['oidcc-client-test-missing-sub', { claims: without('sub') }, 'ID token|answer'],
    ['oidcc-client-test-invalid-aud', plus({ aud: 'somebody else' }), '"aud"'],
    ['oidcc-client-test-missing-aud', { claims: without('aud') }, 'ID token|answer'],
    ['oidcc-client-test-missing-iat', { claims: without('iat') }, 'ID token|answer'],
    ['oidcc-client-test-invalid-sig-rs256', { idToken: forged }, 'is not signed by it', { alg: 'RS256' }],
    ['oidcc-client-test-invalid-sig-es256', { idToken: forged }, 'is not signed by it', { alg: 'ES256' }],
    ['oidcc-client-test-invalid-sig-hs256', { idToken: shared('anything') }, 'answer'],
    ['oidcc-client-test-idtoken-sig-none', { idToken: unsigned }, 'answer'],
    ['oidcc-client-test-nonce-invalid', plus({ nonce: 'another' }), '"nonce"'],
  ])('[%s]', async (_, script, words, options) => {
    const { error } = await outcomeOf(script, options)
    expect(error).toMatchObject({ code: 'bad-answer', message: expect.stringMatching(words) })
  })

  it('[oidcc-client-test-discovery-issuer-mismatch]', async () => {
    const { error } = await outcomeOf({
      metadata: (it) => ({ body: { ...it, issuer: 'https://evil.test' } }),
    })
    expect(error).toMatchObject({
      code: 'provider-not-configured',
      message: expect.stringContaining('another issuer'),
    })
  })

  it.each(['invalid-athash', 'missing-athash', 'invalid-chash', 'missing-chash'])(
    '[oidcc-client-test-%s] with its whole response type: no token comes through the browser',
    async (module) => {
      const hash = module.startsWith('invalid') ? { c_hash: 'x', at_hash: 'x' } : {}
      const { error, there } = await outcomeOf({
        callback: (it) => it.set('id_token', `${part({ alg: 'RS256' })}.${part(hash)}.x`),
      })
      expect(error).toMatchObject({ code: 'invalid-state' })
      expect(there.forms).toHaveLength(0)
    },
  )

  it.each<[string, Script]>([
    ['it has expired', { claims: (it) => ({ ...it, exp: Number(it.iat) - 61 }) }],
    ['it never expires', { claims: without('exp') }],
    ['it has no issuer', { claims: without('iss') }],
    ['it has no nonce', { claims: without('nonce') }],
    ['it is from the future', { claims: (it) => ({ ...it, iat: Number(it.iat) + 90 }) }],
    ['it is not valid yet', { claims: (it) => ({ ...it, nbf: Number(it.iat) + 90 }) }],
    ['it is for others as well', { claims: (it) => ({ ...it, aud: [String(it.aud), 'somebody else'] }) }],
    ['it was made for somebody else', { claims: (it) => ({ ...it, azp: 'somebody else' }) }],
    ['its subject is empty', plus({ sub: '' })],
    ['its subject is far too long', plus({ sub: 'x'.repeat(256) })],
    ['its subject is a number', plus({ sub: 7 as never })],
    ['it is not there', { token: (it) => ({ body: { ...it, id_token: undefined } }) }],
    ['it is no JWT', { idToken: async () => 'x.y.z' }],
    ['it is encrypted', { idToken: async () => 'a.b.c.d.e' }],
    [
      'it is signed with an algorithm that was not announced',
      { idToken: async (claims) => honestIdToken(claims, [await signingKey('PS256')]) },
    ],
    ['it says a claim twice', { idToken: async (claims, [key]) => twice(claims, key) }],
    ['it is signed by a key that it brings along', { idToken: async (claims) => broughtAlong(claims) }],
    ['it is signed with the client secret', { idToken: shared('secret') }],
  ])('when %s', async (_, script) => {
    expect((await outcomeOf(script)).error).toMatchObject({ code: 'bad-answer' })
  })

  async function broughtAlong(claims: JWTPayload): Promise<string> {
    const { privateKey, jwk, alg } = await signingKey('ES256')
    return new SignJWT(claims)
      .setProtectedHeader({ alg, jwk, jku: 'https://evil.test/jwks' })
      .sign(privateKey)
  }

  /** Rightly signed, with bytes that two readers would read differently. */
  async function twice(claims: JWTPayload, key: SigningKey | undefined): Promise<string> {
    if (!key) throw new Error('there is no key')
    const text = `${part({ alg: key.alg, kid: key.kid })}.${Buffer.from(`{"sub":"evil",${JSON.stringify(claims).slice(1)}`).toString('base64url')}`
    const way = { name: 'ECDSA', hash: 'SHA-256' }
    const signature = await crypto.subtle.sign(way, key.privateKey, Buffer.from(text))
    return `${text}.${Buffer.from(signature).toString('base64url')}`
  }
})

describe('userinfo and refresh are refused', () => {
  it('[oidcc-client-test-userinfo-invalid-sub] [security 1.16]', async () => {
    const { error } = await outcomeOf({ userinfo: (it) => ({ body: { ...it, sub: 'person-2' } }) })
    expect(error).toMatchObject({ code: 'bad-answer', message: expect.stringContaining('"sub"') })
  })

  it('when userinfo does not say whom it speaks of', async () => {
    const { error } = await outcomeOf({ userinfo: () => ({ body: { name: 'Zoë' } }) })
    expect(error).toMatchObject({ code: 'bad-answer' })
  })

  const refreshed = async (script: Script) => {
    const { there, context, flow } = await at()
    const { credential } = await signInBy(flow, context, there.consent)
    there.play(script)
    return flow.refresh?.(context, credential)
  }

  it.each<[string, Script, string]>([
    ['oidcc-client-test-refresh-token-invalid-issuer', plus({ iss: 'https://evil.test' }), '"iss"'],
    ['oidcc-client-test-refresh-token-invalid-sub', plus({ sub: 'person-2' }), '"sub"'],
    ['another audience', plus({ aud: 'somebody else' }), '"aud"'],
    ['another nonce', plus({ nonce: 'another' }), '"nonce"'],
    ['a forged signature', { idToken: forged }, 'is not signed by it'],
  ])('[%s]', async (_, script, words) => {
    await expect(refreshed(script)).rejects.toMatchObject({
      code: 'bad-answer',
      message: expect.stringContaining(words),
    })
  })
})

describe('a sign-in is accepted', () => {
  const accepted = async (script: Script, options: HostileOptions = {}, scene: Partial<OAuthScene> = {}) => {
    const { there, context, flow } = await at(script, options, scene)
    const { profile, credential } = await signInBy(flow, context, there.consent)
    return { profile, credential, there, context, flow }
  }
  const anonymous = async (claims: JWTPayload, [key]: readonly SigningKey[]) => {
    if (!key) throw new Error('there is no key')
    return new SignJWT(claims).setProtectedHeader({ alg: key.alg }).sign(key.privateKey)
  }

  it('[oidcc-client-test] [oidcc-client-test-discovery-openid-config] [oidcc-client-test-discovery-jwks-uri-keys]', async () => {
    const { profile, there } = await accepted({})
    expect(profile.subject).toBe('person-1')
    expect(there.requests.map(({ path }) => path.split('?')[0])).toEqual([
      '/.well-known/oauth-authorization-server',
      '/authorize',
      '/token',
      '/jwks',
      '/userinfo',
    ])
  })

  it('[oidcc-client-test-client-secret-basic]', async () => {
    const methods = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }
    const { there } = await accepted({ metadata: (it) => ({ body: { ...it, ...methods } }) })
    expect(there.requests.find(({ path }) => path === '/token')?.headers['authorization']).toMatch(/^Basic /)
  })

  it.each(['RS256', 'PS256', 'ES384', 'EdDSA'])(
    '[oidcc-client-test-idtoken-sig-rs256] signed with %s',
    async (alg) => {
      const algs = { id_token_signing_alg_values_supported: [alg] }
      const noHash = without('at_hash')
      const { profile } = await accepted(
        { metadata: (it) => ({ body: { ...it, ...algs } }), claims: noHash },
        { alg },
      )
      expect(profile.subject).toBe('person-1')
    },
  )

  it('[oidcc-client-test-kid-absent-single-jwks]', async () => {
    expect((await accepted({ idToken: anonymous })).profile.subject).toBe('person-1')
  })

  it('[oidcc-client-test-kid-absent-multiple-jwks] by trying all keys that could have signed it', async () => {
    const others = await Promise.all(['ES256', 'ES256', 'RS256'].map(signingKey))
    const jwks: Script['jwks'] = ({ keys }) => ({
      body: { keys: [...others.map(({ jwk }) => jwk), ...keys] },
    })
    expect((await accepted({ idToken: anonymous, jwks })).profile.subject).toBe('person-1')
  })

  it('and not with more keys than a bound', async () => {
    const { jwk } = await signingKey('ES256')
    const many = Array.from({ length: 40 }, (_, i) => ({ ...jwk, kid: String(i) }))
    const jwks: Script['jwks'] = ({ keys }) => ({ body: { keys: [...many, ...keys] } })
    await expect(accepted({ idToken: anonymous, jwks })).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('[oidcc-client-test-signing-key-rotation] [oidcc-client-test-signing-key-rotation-just-before-signing] [security 8.4]', async () => {
    const { there, context, flow } = await accepted({})
    const keysFetched = () => there.requests.filter(({ path }) => path === '/jwks').length
    await there.rotateKeys()
    expect((await signInBy(flow, context, there.consent)).profile.subject).toBe('person-1')
    expect(keysFetched()).toBe(2)
    await there.rotateKeys()
    await expect(signInBy(flow, context, there.consent)).rejects.toMatchObject({ code: 'bad-answer' })
    expect(keysFetched()).toBe(2)
    const later = { ...context, now: () => new Date(Date.now() + 31_000) }
    expect((await signInBy(flow, later, there.consent)).profile.subject).toBe('person-1')
    expect(keysFetched()).toBe(3)
  })

  it('[oidcc-client-test-dynamic-registration]', async () => {
    const { there, context, flow } = await at()
    const metadata = await (await fetch(`${there.issuer}/.well-known/openid-configuration`)).json()
    const wish = { name: 'Valetkey', redirectUris: [new URL(REDIRECT_URI)], scopes: ['openid'] }
    const client = await register(context.network, judgeMetadata(there.issuer, metadata), wish)
    const { profile } = await signInBy(flow, { ...context, client }, there.consent)
    expect(profile.subject).toBe('person-1')
    expect(there.forms[0]?.get('client_id')).toBe(client.clientId)
  })

  it('[oidcc-client-test-scope-userinfo-claims] [oidcc-client-test-userinfo-bearer-header]', async () => {
    const { profile, there, credential } = await accepted({}, {}, { scopes: ['openid', 'email', 'profile'] })
    expect(profile).toMatchObject({ name: 'Zoë', email: 'zoe@example.com', emailVerified: true })
    const sent = there.requests.find(({ path }) => path === '/userinfo')?.headers['authorization']
    expect(sent).toBe(`Bearer ${credential.worn['accessToken']?.reveal()}`)
  })

  const signedUserinfo = (change: (it: JWTPayload, key: SigningKey) => Promise<string>) => {
    let keys: readonly SigningKey[] = []
    const script: Script = {
      idToken: (claims, held) => {
        keys = held
        return honestIdToken(claims, held)
      },
      userinfo: async (it) => {
        const [key] = keys
        if (!key) throw new Error('there is no key')
        return { headers: { 'content-type': 'application/jwt' }, body: await change(it as JWTPayload, key) }
      },
    }
    return script
  }

  it('[oidcc-client-test-userinfo-signed] when its signature is right, and only then', async () => {
    expect((await accepted(signedUserinfo((it, key) => honestIdToken(it, [key])))).profile.name).toBe('Zoë')
    const wrong = [
      signedUserinfo((it, key) => forged(it, [key])),
      signedUserinfo((it) => unsigned(it)),
      signedUserinfo((it, key) => honestIdToken({ ...it, iss: 'https://evil.test' }, [key])),
      signedUserinfo((it, key) => honestIdToken({ ...it, aud: 'somebody else' }, [key])),
      signedUserinfo((it, key) => honestIdToken({ ...it, sub: 'person-2' }, [key])),
    ]
    for (const script of wrong) await expect(accepted(script)).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('[oidcc-client-test-aggregated-claims] [oidcc-client-test-distributed-claims] without following them', async () => {
    const sources = {
      _claim_names: { age: 'a' },
      _claim_sources: { a: { endpoint: 'https://evil.test/', JWT: 'x.y.z' } },
    }
    const { profile } = await accepted({ userinfo: (it) => ({ body: { ...it, ...sources } }) })
    expect(profile.name).toBe('Zoë')
  })

  it('[oidcc-client-test-mtls-endpoint-aliases] which are for clients with certificates', async () => {
    const aliases = { mtls_endpoint_aliases: { token_endpoint: 'https://mtls.acme.example/token' } }
    expect((await accepted({ metadata: (it) => ({ body: { ...it, ...aliases } }) })).profile.subject).toBe(
      'person-1',
    )
  })

  it('[oidcc-client-test-refresh-token] with and without a new ID token', async () => {
    for (const change of [{}, { id_token: undefined }]) {
      const { there, context, flow, credential } = await accepted({})
      there.play({ token: (it) => ({ body: { ...it, ...change } }) })
      const next = await flow.refresh?.(context, credential)
      expect(next?.kept['idToken']).toBeDefined()
      expect(next?.worn['accessToken']?.reveal()).not.toBe(credential.worn['accessToken']?.reveal())
    }
  })

  it('[oidcc-client-test-form-post-error] as an error, told by its kind', async () => {
    const callback = (it: URLSearchParams) => {
      it.delete('code')
      it.set('error', 'interaction_required')
    }
    await expect(accepted({ callback })).rejects.toMatchObject({ code: 'exchange-failed' })
  })

  it('[oidcc-client-test-nonce-unless-code-flow] with a nonce here as well', async () => {
    const { there } = await accepted({})
    expect(there.requests.find(({ path }) => path.startsWith('/authorize'))?.path).toContain('nonce=')
  })

  it.each<[string, Script]>([
    ['an audience in a list', { claims: (it) => ({ ...it, aud: [String(it.aud)] }) }],
    [
      'several audiences, and us as the authorized party',
      { claims: (it) => ({ ...it, aud: [String(it.aud), 'api'], azp: String(it.aud) }) },
    ],
    ['a clock that is half a minute ahead', { claims: (it) => ({ ...it, iat: Number(it.iat) + 30 }) }],
    ['no at_hash', { claims: without('at_hash') }],
    ['no userinfo just now', { userinfo: () => ({ status: 503 }) }],
  ])('with %s', async (_, script) => {
    expect((await accepted(script)).profile.subject).toBe('person-1')
  })

  it('by our own clock, whatever the machine’s says', async () => {
    const ahead = 3_600_000
    const now = () => new Date(Date.now() + ahead)
    const { there, context, flow } = await at({
      claims: (it) => ({ ...it, iat: Number(it.iat) + 3600, exp: Number(it.exp) + 3600 }),
    })
    const { credential } = await signInBy(flow, { ...context, now }, there.consent)
    expect((credential.expiresAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(ahead)
    there.play({})
    await expect(signInBy(flow, { ...context, now }, there.consent)).rejects.toMatchObject({
      code: 'bad-answer',
    })
  })
})
