import { z } from 'zod'
import type { ErrorCode, Field } from '#client'
import type { FlowContext, FlowTurn } from '../../model/flow.ts'
import type { FlowAnswer } from '../../model/words.ts'
import { remember } from '../memory.ts'
import { filled } from './filled.ts'
import { whyOf } from './form.ts'
import { openQuestions, type Values, whySchema } from './key-fields.ts'

/** Before the provider is asked for anything: what was filled in so far, and why it is asked again. */
export const askingSchema = z.strictObject({
  stage: z.literal('asking'),
  values: z.record(z.string(), z.string()),
  why: whySchema.optional(),
})

type Asking = z.infer<typeof askingSchema>

/** A value that cannot be part of an address is asked for again. */
const ASKED_AGAIN: ReadonlySet<ErrorCode> = new Set(['invalid-request'])

/**
 * What the provider's addresses need is asked first, without what is told later; once all of it is there the
 * sign-in sets out.
 */
export function beforehand(
  toldLater: (context: FlowContext) => readonly string[],
  setOut: (context: FlowContext, values: Values) => Promise<FlowTurn>,
) {
  function questions(context: FlowContext, { values, why }: Omit<Asking, 'stage'>): readonly Field[] {
    const later = toldLater(context)
    const open = openQuestions(context, { values, why, mayKeep: false })
    return open.filter(({ name }) => !later.includes(name))
  }

  function ask(context: FlowContext, held: Omit<Asking, 'stage'>): FlowTurn {
    const step = { ask: 'fill', fields: questions(context, held), ...held.why } as const
    return { step, memory: remember({ stage: 'asking', ...held }) }
  }

  async function begin(context: FlowContext, values: Values): Promise<FlowTurn> {
    const isOpen = questions(context, { values }).some(({ optional }) => !optional)
    return isOpen ? ask(context, { values }) : setOut(context, values)
  }

  async function next(context: FlowContext, held: Asking, answer: FlowAnswer | undefined): Promise<FlowTurn> {
    if (answer === undefined) return ask(context, held)
    const given = Object.fromEntries(filled(questions(context, held), answer))
    try {
      return await begin(context, { ...held.values, ...given })
    } catch (error) {
      return ask(context, { values: {}, why: whyOf(error, ASKED_AGAIN) })
    }
  }

  return { begin, next }
}
