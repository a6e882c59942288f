import { z } from 'zod'
import type { FlowContext, FlowTurn } from '../../model/flow.ts'
import { Secret } from '../../model/secret.ts'
import type { Begun } from '../../protocol/device-answer.ts'
import { serverSchema } from '../../protocol/server.ts'
import type { Expected } from '../../protocol/token-answer.ts'
import { standingOf } from '../authorization/server.ts'
import { askingSchema } from '../filled/beforehand.ts'
import { choosingSchema } from '../issued/after-issue.ts'
import { isOpenId } from '../issued/signed-in.ts'
import { readInAnswer } from '../issued/told-values.ts'
import { remember } from '../memory.ts'

const values = z.record(z.string(), z.string())

/** While the person enters the code elsewhere: what is asked for, of whom, and not before when. */
const waitingSchema = z.strictObject({
  stage: z.literal('waiting'),
  server: serverSchema,
  /** Where it is asked whether the code was entered. */
  asked: z.string(),
  clientId: z.string(),
  scopes: z.array(z.string()),
  vars: values,
  deviceCode: z.string(),
  userCode: z.string(),
  at: z.string(),
  whole: z.string().optional(),
  until: z.iso.datetime(),
  /** What the server wants to be left alone for between two questions; it only ever grows. */
  everySeconds: z.number().positive(),
  /** How often in a row it could not be reached. */
  missed: z.number().int(),
  notBefore: z.iso.datetime(),
  /** Present where the server binds the code to it. */
  verifier: z.string().optional(),
  /** What the tokens will be bound to. */
  dpopKey: z.string().optional(),
})

export const memorySchema = z.discriminatedUnion('stage', [askingSchema, waitingSchema, choosingSchema])

export type Waiting = z.infer<typeof waitingSchema>

/** A sign-in takes no longer than this, whatever the code is good for. */
const LONGEST_MS = 10 * 60_000

type Request = Pick<Waiting, 'server' | 'asked' | 'clientId' | 'scopes' | 'vars' | 'verifier' | 'dpopKey'>

export function begunNow(request: Request, begun: Begun, now: Date): Waiting {
  const { deviceCode, userCode, at, whole, seconds, everySeconds } = begun
  const life = Math.min(seconds * 1000, LONGEST_MS)
  return later(
    {
      stage: 'waiting',
      ...request,
      deviceCode,
      userCode,
      at,
      ...(whole === undefined ? {} : { whole }),
      until: new Date(now.getTime() + life).toISOString(),
      everySeconds,
      missed: 0,
      notBefore: now.toISOString(),
    },
    everySeconds,
    now,
  )
}

/** From the end of the last answer on it is left alone for so long. */
export function later(held: Waiting, seconds: number, now: Date): Waiting {
  return { ...held, notBefore: new Date(now.getTime() + seconds * 1000).toISOString() }
}

/** The step for the person. What the token is asked for by is not in it. */
export function waiting({ device }: FlowContext, held: Waiting): FlowTurn {
  const { userCode: code, at, whole, everySeconds } = held
  const until = new Date(held.until)
  const step = {
    ask: 'enter-code',
    code,
    at: new URL(at),
    ...(whole === undefined ? {} : { whole: new URL(whole) }),
    ...(device === undefined ? {} : { device }),
    until,
    everySeconds,
  } as const
  return {
    step,
    memory: remember(held),
    again: new Date(Math.min(Date.parse(held.notBefore), until.getTime())),
  }
}

export function keyOf({ dpopKey }: Waiting): Secret | undefined {
  return dpopKey === undefined ? undefined : new Secret(dpopKey)
}

/** What is awaited of the answer that brings the tokens. */
export function expectedOf(context: FlowContext, { scopes, dpopKey }: Waiting): Expected {
  const { oauth } = standingOf(context)
  const idToken = isOpenId(oauth, scopes)
  return { ...oauth, idToken, told: readInAnswer(context.signIn), bound: dpopKey !== undefined }
}
