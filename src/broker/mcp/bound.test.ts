import { decodeJwt } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { openTestHouse, refusal, type TestHouse } from '../../../test/house.ts'
import { type HostileServer, hostileServer } from '../../testing/hostile-server.ts'
import { type ListeningStandIn, type StandInAnswer, standIn } from '../../testing/stand-in.ts'

const METADATA = 'GET /.well-known/oauth-protected-resource/mcp'

let house: TestHouse
let authorization: HostileServer
let server: ListeningStandIn

afterEach(async () => {
  await house?.close()
  await authorization?.close()
  await server?.close()
})

/** An MCP server that challenges with this, and says of itself that. */
async function opened(challenge: string, metadata: object): Promise<string> {
  authorization = await hostileServer()
  authorization.play({ token: (honest) => ({ body: { ...honest, token_type: 'DPoP' } }) })
  const refused: StandInAnswer = { status: 401, headers: { 'www-authenticate': challenge } }
  server = await standIn({
    'POST /mcp': ({ headers }) => (headers['dpop'] === undefined ? refused : { body: { ok: true } }),
    [METADATA]: () => ({
      body: {
        resource: `${server.origin}/mcp`,
        authorization_servers: [authorization.issuer],
        ...metadata,
      },
    }),
  }).listen()
  const allow = [server.origin, authorization.issuer].map((link) => new URL(link).host)
  house = await openTestHouse({ config: { allow }, start: new Date() })
  return `${server.origin}/mcp`
}

async function begun(provider: string) {
  const { id, step } = await house.owner.connect({ provider })
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  return { id, url: step.url }
}

describe('an MCP server that takes bound tokens alone', () => {
  it.each([
    ['in its metadata', 'Bearer', { dpop_bound_access_tokens_required: true }],
    ['by its challenge', 'DPoP algs="ES256"', {}],
  ])('[security 9.2] [security 9.4] says so %s, and gets them', async (_, challenge, metadata) => {
    const { id, url } = await begun(await opened(challenge, metadata))
    expect(url.searchParams.get('dpop_jkt')).toMatch(/^[\w-]{43}$/)
    await fetch(await authorization.consent(url))
    expect(await house.owner.flow(id)).toMatchObject({ state: 'done' })
    const answer = await house.owner.forward({
      address: 'local-mcp',
      method: 'POST',
      path: '/mcp',
      body: '{}',
    })
    expect(answer.status).toBe(200)
    const proof = String(server.requests.at(-1)?.headers['dpop'])
    expect(decodeJwt(proof)).toMatchObject({ htm: 'POST', htu: `${server.origin}/mcp` })
    expect(await refusal(house.owner.lend({ address: 'local-mcp' }))).toMatchObject({ code: 'forward-only' })
  })

  it('is not taken for one where plain ones are welcome too', async () => {
    const { url } = await begun(await opened('DPoP algs="ES256", Bearer', {}))
    expect(url.searchParams.has('dpop_jkt')).toBe(false)
  })
})
