import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Asking, Exchange } from '../../model/provider.ts'
import { type Answer, refuseTrouble } from '../../protocol/ask.ts'
import { textAt } from '../../protocol/pointer.ts'
import { strictObject } from '../../protocol/strict-json.ts'
import type { Values } from '../filled/key-fields.ts'
import { askProvider } from '../issued/provider-request.ts'

/** One that is done by a request of the provider's own. */
export type ByRequest = Extract<Exchange, { request: unknown }>

/** What came of a token that was traded in. */
export interface Got {
  readonly token: string
  /** How long it lives, where that is told. */
  readonly seconds?: number | undefined
  /** By pointer. */
  readonly told?: Values
  readonly scopes?: readonly string[]
}

const TEN_YEARS_IN_SECONDS = 10 * 365 * 24 * 60 * 60
const MOST_LETTERS = 16 * 1024

/** Shows a token to the provider, once, and reads what it gives for it. */
export async function tradeByRequest(
  context: FlowContext,
  exchange: ByRequest,
  request: Asking,
  { credential, vars }: { readonly credential: Credential; readonly vars: Values },
): Promise<Got> {
  const accessToken = credential.worn['accessToken']?.reveal() ?? ''
  const answer = await askProvider(context, request, { vars, named: { accessToken }, credential })
  refuseTrouble(answer)
  if (isOver(answer, exchange))
    throw new ValetkeyError('access-revoked', 'the provider no longer gives anything for this access')
  if (answer.status < 200 || answer.status > 299)
    throw new ValetkeyError(
      'bad-answer',
      `the provider answered ${answer.status}, and gave nothing for this access`,
      {
        hint: 'see whether this account may use it at the provider',
      },
    )
  return read(context, exchange, strictObject(answer.text))
}

/** Only what the provider file says to mean it, and in the provider's own words: a wall in between has others. */
function isOver({ status, type, text }: Answer, { over }: ByRequest): boolean {
  const own = over.filter((one) => one.status === status)
  if (own.length === 0 || type !== 'application/json') return false
  const said = strictObject(text)
  return own.some(({ at, is }) => at === undefined || (textAt(said, at) ?? '') === (is ?? textAt(said, at)))
}

function read({ now }: FlowContext, exchange: ByRequest, said: unknown): Got {
  const token = textAt(said, exchange.token) ?? ''
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > MOST_LETTERS)
    throw new ValetkeyError('bad-answer', 'the provider gave no token for this access')
  const end = numberAt(said, exchange.expiresAt)
  const left = end === undefined ? undefined : end - now().getTime() / 1000
  const told = Object.keys(exchange.told).flatMap((at) => {
    const value = textAt(said, at)
    return value === undefined ? [] : [[at, value]]
  })
  return { token, seconds: life(numberAt(said, exchange.expiresIn) ?? left), told: Object.fromEntries(told) }
}

function numberAt(said: unknown, at: string | undefined): number | undefined {
  const text = textAt(said, at)
  return text === undefined || text.trim() === '' ? undefined : Number(text)
}

/** Undefined for what no token could have. */
function life(seconds: number | undefined): number | undefined {
  if (seconds === undefined || !Number.isFinite(seconds)) return undefined
  return seconds > 0 && seconds <= TEN_YEARS_IN_SECONDS ? Math.floor(seconds) : undefined
}
