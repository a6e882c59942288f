import { createHmac, timingSafeEqual } from 'node:crypto'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'

/**
 * What the browser brings back is believed only where the provider signed it, by the secret that it shares with
 * our client: over all parameters but the signature, in the order of their names.
 */
export function refuseForged({ signIn, client }: FlowContext, params: URLSearchParams): void {
  const { signed } = signIn
  if (signed === undefined) return
  const secret = client?.clientSecret?.reveal() ?? ''
  if (secret === '')
    throw new ValetkeyError(
      'provider-not-configured',
      'only a client with a secret can tell what is signed',
      {
        hint: 'register one at the provider first',
      },
    )
  const told = params.get(signed.parameter)
  if (told === null)
    throw new ValetkeyError('invalid-request', 'this is not the whole of what the provider sent back', {
      hint: 'paste the whole address at which the browser ended',
    })
  const expected = createHmac('sha256', secret).update(signedText(params, signed.parameter)).digest()
  const shown = Buffer.from(/^[0-9a-fA-F]{64}$/.test(told) ? told : '', 'hex')
  if (shown.length === expected.length && timingSafeEqual(shown, expected)) return
  throw new ValetkeyError('invalid-state', 'this answer is not signed by the provider', {
    hint: 'finish it in the browser that began it, or begin again',
  })
}

function signedText(params: URLSearchParams, parameter: string): string {
  return [...params]
    .filter(([name]) => name !== parameter)
    .map(([name, value]) => [escaped(name).replaceAll('=', '%3D'), escaped(value)] as const)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('&', '%26')
}
