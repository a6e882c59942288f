import type { IncomingMessage, ServerResponse } from 'node:http'
import type Provider from 'oidc-provider'
import { type Choices, choicesIn } from './choices.ts'
import { formIn, isFromOurPage, seeOther, show } from './http.ts'
import { type Asking, consentPage } from './pages/consent-page.ts'
import { notOursPage, overPage, said } from './pages/refusal-page.ts'
import { PEOPLE } from './people.ts'
import { SCOPES } from './provider-file.ts'
import type { Stage } from './stage.ts'

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** Where the person is asked. The browser that began the sign-in is known by its cookie; no other one is asked. */
export async function consent(
  stage: Stage,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const interaction = await stage.provider.interactionDetails(request, response).catch(() => undefined)
  if (interaction === undefined) return show(response, 400, overPage())
  if (request.method !== 'POST')
    return show(response, 200, consentPage(await askingOf(stage.provider, interaction)))
  if (!isFromOurPage(request, stage.origin)) return show(response, 403, notOursPage())
  const form = await formIn(request)
  if (form.get('decision') !== 'allow') return deny(stage, interaction, response)
  const choices = choicesIn(form)
  if (choices === undefined)
    return show(response, 400, said('That is not among the choices', 'Go back, and choose again.'))
  await allow(stage, interaction, choices)
  seeOther(response, interaction.returnTo)
}

async function askingOf(provider: Provider, { params, deviceCode }: Interaction): Promise<Asking> {
  const [person] = PEOPLE
  const hint = PEOPLE.find(({ id, email }) => [id, email].includes(String(params['login_hint'])))
  return {
    app: await nameOf(provider, params['client_id']),
    scopes: scopesOf(params),
    person: hint ?? person,
    redirectUri: deviceCode === undefined ? new URL(String(params['redirect_uri'])) : undefined,
  }
}

async function nameOf(provider: Provider, clientId: unknown): Promise<string> {
  const client = await provider.Client.find(String(clientId))
  return client?.clientName ?? String(clientId)
}

function scopesOf(params: Interaction['params']): readonly string[] {
  const asked = String(params['scope'] ?? '').split(' ')
  return SCOPES.filter((scope) => asked.includes(scope))
}

async function allow({ provider, grants, counts, now }: Stage, interaction: Interaction, choices: Choices) {
  const clientId = String(interaction.params['client_id'])
  const accountId = choices.person.id
  const scopes = scopesOf(interaction.params)
  const grant = new provider.Grant({ accountId, clientId })
  grant.addOIDCScope(scopes.join(' '))
  const grantId = await grant.save()
  const app = await nameOf(provider, clientId)
  grants.allow(grantId, { ...choices, app, refreshable: scopes.includes('offline_access'), since: now() })
  counts.allowed += 1
  await settle(interaction, { login: { accountId }, consent: { grantId } })
}

async function deny({ counts }: Stage, interaction: Interaction, response: ServerResponse): Promise<void> {
  counts.denied += 1
  await settle(interaction, { error: 'access_denied', error_description: 'the person said no' })
  seeOther(response, interaction.returnTo)
}

/** Whoever was signed in before does not matter: the answer says who it is. */
async function settle(interaction: Interaction, result: NonNullable<Interaction['result']>): Promise<void> {
  interaction.result = result
  interaction.session = undefined
  await interaction.persist()
}
