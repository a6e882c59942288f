import assert from 'node:assert/strict'
import type { Flow, FlowContext } from '../model/flow.ts'
import type { Network } from '../model/network.ts'
import type { Catalogue, Provider, SignIn } from '../model/provider.ts'
import { Secret } from '../model/secret.ts'
import { canary } from './canary.ts'
import type { Check } from './check.ts'
import { type HostileServer, hostileServer } from './hostile-server.ts'
import { REDIRECT_URI, signInBy, visitOf } from './oauth-stage.ts'

/** A sign-in by browser, and the rooms that it is tried with. */
export interface Visit {
  readonly provider: Provider
  readonly signIn: SignIn
  readonly flow: Flow
  readonly vars: Readonly<Record<string, string>>
  /** Its own answers were recorded, and are played elsewhere. */
  readonly recorded: boolean
  catalogue(origins: Readonly<Record<string, string>>): Catalogue
  network(allow: readonly string[]): Network
}

const CONNECTED = 'is connected at the stand-in that the operator named, renewed and ended there'

/** What a provider promises whose credentials come by a browser. */
export function visitChecks(visit: Visit): readonly Check[] {
  const { provider, signIn, recorded } = visit
  const checks: readonly Check[] = [
    {
      name: 'sends the person to its own authorization server, with state and PKCE',
      run: () =>
        atStandIn(visit, async (context, there) => {
          const { url } = visitOf(await visit.flow.begin(context))
          assert.equal(url.origin, new URL(there.issuer).origin)
          assert.equal(url.searchParams.get('response_type'), 'code')
          assert.match(url.searchParams.get('state') ?? '', /^flow-one\./)
          assert.equal(url.searchParams.has('code_challenge'), provider.oauth?.pkce === 'S256')
          const { scopeParam = 'scope', scopeSeparator = ' ' } = provider.oauth ?? {}
          const scopes = url.searchParams.get(scopeParam)?.split(scopeSeparator) ?? []
          for (const scope of signIn.scopes) assert.ok(scopes.includes(scope), scope)
        }),
    },
    {
      name: CONNECTED,
      run: () =>
        atStandIn(visit, async (context, there) => {
          const { credential, profile } = await signInBy(visit.flow, context, there.consent)
          assert.ok(there.issued.includes(credential.worn['accessToken']?.reveal() ?? ''))
          for (const name of Object.values(signIn.captures)) assert.ok(profile.vars[name], name)
          if (signIn.verify?.subject || signIn.scopes.includes('openid')) assert.ok(profile.subject)
          await visit.flow.refresh?.(context, credential)
          assert.equal(there.forms.length, 2)
          assert.ok((await visit.flow.revoke(context, credential)).length > 0)
        }),
    },
    {
      name: 'wears what was issued, and nothing else',
      run: async () => {
        for (const way of signIn.present) assert.ok('header' in way && way.field === 'accessToken')
      },
    },
  ]
  return checks.filter(({ name }) => !recorded || name !== CONNECTED)
}

/** As providers name a person where there is no OpenID Connect. */
const SOMEBODY = {
  id: 'somebody',
  login: 'somebody',
  data: { id: 'somebody', attributes: { handle: 'somebody' } },
}

async function atStandIn(
  visit: Visit,
  judge: (context: FlowContext, there: HostileServer) => Promise<void>,
): Promise<void> {
  const { provider, signIn, vars } = visit
  const there = await hostileServer(placesOf(visit))
  const { origin } = new URL(there.issuer)
  const network = visit.network([origin])
  there.play({
    callback: (it) => {
      if (!provider.oauth?.issuer) it.delete('iss')
      for (const [parameter, name] of Object.entries(signIn.captures)) it.set(parameter, vars[name] ?? '')
    },
    userinfo: (honest) => ({ body: { ...honest, ...SOMEBODY } }),
  })
  const known = Object.entries(vars).map(([name, value]) => [name, new Secret(value)])
  try {
    await judge(
      {
        provider,
        signIn,
        catalogue: visit.catalogue({ [provider.id]: origin }),
        network,
        now: () => new Date(),
        newId: () => 'one',
        known: Object.fromEntries(known),
        insist: false,
        client: { clientId: 'client', clientSecret: new Secret(canary('client')) },
        redirectUri: new URL(REDIRECT_URI),
        state: 'flow-one.word',
      },
      there,
    )
  } finally {
    await network.close()
    await there.close()
  }
}

/** The provider's own paths, as they will be at the stand-in. */
function placesOf({ provider, signIn, vars, catalogue }: Visit) {
  const { place } = catalogue({}).destination(provider, vars)
  const pathOf = (link: string | undefined) => link && place(link).pathname
  const { issuer, authorize, token, revoke } = provider.oauth ?? {}
  return {
    path: pathOf(issuer)?.replace(/^\/$/, '') ?? '',
    endpoints: {
      authorize: pathOf(authorize),
      token: pathOf(token),
      revoke: pathOf(revoke),
      userinfo: pathOf(signIn.verify?.url),
    },
  }
}
