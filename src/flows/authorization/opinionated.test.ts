import { Secret } from '../../model/secret.ts'
import type { FlowAnswer, FlowStep } from '../../model/words.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import type { Script } from '../../testing/hostile-server.ts'
import { hostileStage } from '../../testing/oauth-stage.ts'
import { authorizationCodeFlow } from '../authorization-code.ts'

// A server with opinions of its own: it never rotates, says no scopes, and refuses without a word.

const OPAQUE = { status: 400, body: 'no', headers: { 'content-type': 'text/plain' } }

/** It renews without another refresh token, and tells nothing but what the standard makes it tell. */
function opinions(issued: readonly string[]): Script {
  return {
    token: (honest, form) => {
      const shown = form.get('code') ?? form.get('refresh_token') ?? ''
      if (!issued.includes(shown)) return OPAQUE
      const { access_token, token_type, refresh_token, id_token } = honest
      if (form.get('grant_type') === 'refresh_token') return { body: { access_token, token_type } }
      return { body: { access_token, token_type, refresh_token, id_token } }
    },
    revoke: () => OPAQUE,
  }
}

flowContract('authorization-code, at a server with opinions of its own', async () => {
  const clientSecret = canary('client')
  const { there, context, close } = await hostileStage({ openCatalogue, openNetwork }, { clientSecret })
  there.play(opinions(there.issued))
  const back = async (step: FlowStep, change = (_: URL) => {}): Promise<FlowAnswer> => {
    if (step.ask !== 'visit') throw new Error('nobody is sent off')
    const to = await there.consent(step.url)
    change(to)
    return { callback: new Secret(to.href) }
  }
  return {
    flow: () => authorizationCodeFlow(),
    context,
    answer: (step) => back(step),
    wrongAnswer: (step) => back(step, ({ searchParams }) => searchParams.set('code', canary('code'))),
    secrets: [clientSecret],
    close,
  }
})
