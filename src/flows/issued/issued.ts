import { z } from 'zod'
import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Tokens } from '../authorization/credential.ts'
import { parsed } from '../memory.ts'

/** The field by which a token comes in that was issued elsewhere: its answer as JSON, as programs keep it. */
export const ISSUED = 'issued'

const answer = z.looseObject({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).optional(),
  id_token: z.string().min(1).optional(),
  token_type: z.string().optional(),
  scope: z.string().optional(),
  /** Seconds since 1970, as programs keep it; a server says how many seconds are left instead. */
  expiry: z.number().optional(),
  expires_in: z.number().optional(),
})

export type Issued = z.infer<typeof answer>

/** Nobody can prove what was issued elsewhere, so it is only taken from whoever insists. */
export function issuedBefore({ known, insist, now }: FlowContext): Tokens | undefined {
  const given = known[ISSUED]
  if (given === undefined) return undefined
  if (!insist) throw new ValetkeyError('invalid-request', 'a token of elsewhere cannot be proved')
  return tokensOf(readIssued(parsed(given.reveal())), now())
}

export function readIssued(value: unknown): Issued {
  const read = answer.safeParse(value)
  if (read.success) return read.data
  throw new ValetkeyError('bad-answer', 'what was issued is no token')
}

export function tokensOf({ expiry, expires_in: told, ...rest }: Issued, now: Date): Tokens {
  const left = expiry === undefined ? told : Math.floor(expiry - now.getTime() / 1000)
  return {
    access_token: rest.access_token,
    ...(rest.refresh_token === undefined ? {} : { refresh_token: rest.refresh_token }),
    ...(rest.id_token === undefined ? {} : { id_token: rest.id_token }),
    ...(rest.scope === undefined ? {} : { scope: rest.scope }),
    ...(left === undefined ? {} : { expires_in: left }),
  }
}
