import { z } from 'zod'
import { type ErrorCode, type Field, ValetkeyError } from '#client'
import type { Flow, FlowContext, FlowTurn } from '../../model/flow.ts'
import { recall, remember } from '../memory.ts'
import { blankless, confirmed, filled } from './filled.ts'
import {
  type Entered,
  KEEP,
  openQuestions,
  own,
  questions,
  type Values,
  type Why,
  whySchema,
} from './key-fields.ts'

const memorySchema = z.strictObject({
  values: z.record(z.string(), z.string()),
  why: whySchema.optional(),
  mayKeep: z.boolean(),
})

/** A form: what is asked in it, and what becomes of it once it is filled in. */
export interface Form {
  /** What is known beforehand; the values of its own fields, unless it says otherwise. */
  readonly known?: (context: FlowContext) => Values
  /** What is still asked; every question without an answer, unless it says otherwise. */
  readonly asks?: (context: FlowContext, entered: Entered) => readonly Field[]
  /** Whether what is known will do, though nothing that is left is asked of everybody. */
  readonly isWhole?: (context: FlowContext, values: Values) => boolean
  settle(context: FlowContext, values: Values, keep: boolean): Promise<FlowTurn>
}

/** A flow that is one form, which is asked again until what was filled in will do. */
export function byForm({
  known = knownBefore,
  asks = openQuestions,
  isWhole = () => true,
  settle,
}: Form): Pick<Flow, 'begin' | 'next'> {
  return {
    async begin(context) {
      const values = known(context)
      const isOpen = asks(context, { values, mayKeep: false }).some(({ optional }) => !optional)
      return isOpen || !isWhole(context, values)
        ? askFor(context, { values, mayKeep: false }, asks)
        : settle(context, values, false)
    },

    async next(context, memory, answer) {
      const held = recall(memorySchema, memory)
      if (answer === undefined) return askFor(context, held, asks)
      const given = filled(asks(context, held), answer)
      const { [KEEP]: _, ...fresh } = Object.fromEntries(given)
      return settle(context, { ...held.values, ...fresh }, confirmed(given, KEEP))
    },
  }
}

/** The form once more, with what was filled in so far and why it is asked. */
export function askFor(
  context: FlowContext,
  entered: Entered,
  asks: NonNullable<Form['asks']> = openQuestions,
): FlowTurn {
  const { values, why, mayKeep } = entered
  const memory = remember({ values, mayKeep, ...(why && { why }) })
  return { step: { ask: 'fill', fields: asks(context, entered), ...why, ...foundAt(context) }, memory }
}

/** Where a person finds what is asked, if the provider has a page for it. */
export function foundAt({ signIn: { console } }: FlowContext): { readonly at?: URL } {
  return console === undefined ? {} : { at: new URL(console) }
}

/** Its own trouble, where it is one of these; every other is thrown on. */
export function whyOf(error: unknown, among: ReadonlySet<ErrorCode>): Why {
  if (error instanceof ValetkeyError && among.has(error.code))
    return { because: error.message, code: error.code }
  throw error
}

/** All that is known by now of what is asked. */
export function knownBefore(context: FlowContext): Values {
  return Object.fromEntries(
    questions(context).flatMap(({ name }) => {
      const value = blankless(name, own(context.known, name))
      return value === '' ? [] : [[name, value]]
    }),
  )
}
