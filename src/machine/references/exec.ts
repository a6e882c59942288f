import { isAbsolute, normalize } from 'node:path'
import { z } from 'zod'
import type { Read } from '../../model/references.ts'
import { Secret } from '../../model/secret.ts'
import { refuseStrange, saidBy, surroundingsFor } from './program.ts'
import type { Surroundings } from './surroundings.ts'
import { malformed, unread } from './unread.ts'

const SECONDS = 10
const BEGINS = 'exec:'
const FORM = 'exec:/usr/local/bin/my-key: a whole path, without arguments'

/** What a program prints that has more to say than the value. */
const answer = z.strictObject({
  value: z.string().min(1),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
  /** In seconds from now on. */
  expiresIn: z.number().positive().max(31_536_000).optional(),
})

/** `exec:/path`: a program of the owner's own prints the value, or JSON with the value and when it ends. */
export async function readByProgram(reference: string, { env, now }: Surroundings): Promise<Read> {
  const program = reference.slice(BEGINS.length)
  if (!isAbsolute(program)) throw malformed('its program is not named by its whole path', FORM)
  if (normalize(program) !== program) throw malformed('its path is not straight', FORM)
  await refuseStrange(reference, program)
  const hint = `see what it does: ${program}`
  const surroundings = surroundingsFor(env, ['PATH'])
  const said = await saidBy({ reference, program, env: surroundings, seconds: SECONDS, hint })
  const begun = now()
  const told = objectIn(said)
  if (told === undefined || !Object.hasOwn(told, 'value'))
    return { value: valueIn(reference, said), until: null }
  const read = answer.safeParse(told)
  if (!read.success)
    throw unread(reference, 'what it says is not of the right form', 'print {"value": "…", "expiresIn": 300}')
  const { value, expiresAt, expiresIn } = read.data
  const ends = [
    ...(expiresAt === undefined ? [] : [Date.parse(expiresAt)]),
    ...(expiresIn === undefined ? [] : [begun.getTime() + expiresIn * 1000]),
  ]
  const until = ends.length === 0 ? null : new Date(Math.min(...ends))
  if (until !== null && until <= begun)
    throw unread(reference, 'what it gives is over already', `let it make a new one: ${program}`)
  return { value: valueIn(reference, value), until }
}

export function valueIn(reference: string, text: string): Secret {
  if (text.trim() !== '') return new Secret(text)
  throw unread(reference, 'there is nothing in it', 'check that it names the right thing')
}

function objectIn(text: string): object | undefined {
  if (!text.trimStart().startsWith('{')) return undefined
  try {
    const said: unknown = JSON.parse(text)
    return typeof said === 'object' && said !== null ? said : undefined
  } catch {
    return undefined
  }
}
