import { Secret } from '../../model/secret.ts'
import { openNetwork } from '../../network/network.ts'
import { openCatalogue } from '../../providers/catalogue.ts'
import { canary } from '../../testing/canary.ts'
import { flowContract } from '../../testing/flow-contract.ts'
import type { Script } from '../../testing/hostile-server.ts'
import { hostileStage } from '../../testing/oauth-stage.ts'
import { clientCredentialsFlow } from '../client-credentials.ts'

// A server with opinions of its own: it says neither scopes nor an end, and refuses without a word.

const OPAQUE = { status: 400, body: 'no', headers: { 'content-type': 'text/plain' } }

function opinions(clientSecret: string): Script {
  return {
    token: ({ access_token, token_type }, form) => {
      const isOurs =
        form.get('grant_type') === 'client_credentials' && form.get('client_secret') === clientSecret
      return isOurs ? { body: { access_token, token_type } } : OPAQUE
    },
    revoke: () => OPAQUE,
  }
}

flowContract('client-credentials, at a server with opinions of its own', async () => {
  const clientSecret = canary('machine')
  const fields = (secret: string) => ({
    fields: { clientId: new Secret('a machine:1'), clientSecret: new Secret(secret) },
  })
  const { there, context, close } = await hostileStage(
    { openCatalogue, openNetwork },
    {
      scopes: ['read'],
      signIn: {
        flow: 'client-credentials',
        fields: [
          { name: 'clientId', label: 'Client id', secret: false },
          { name: 'clientSecret', label: 'Client secret' },
        ],
        console: 'https://acme.test/clients',
      },
    },
  )
  there.play(opinions(clientSecret))
  return {
    flow: () => clientCredentialsFlow(),
    context: { ...context, client: undefined },
    answer: () => fields(clientSecret),
    wrongAnswer: () => fields(canary('wrong')),
    secrets: [clientSecret],
    close,
  }
})
