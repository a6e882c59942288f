import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import { account, receipt } from './answers.ts'
import { reaction, way } from './problem.ts'
import type { Each, Whole } from './whole.ts'

const time = z.iso.datetime()
const link = z.url()

export const field = z
  .strictObject({
    name: z.string(),
    label: z.string(),
    kind: z.enum({
      text: 'text',
      secret: 'secret',
      code: 'code',
      choice: 'choice',
      confirm: 'confirm',
    } satisfies Each<said.FieldKind>),
    hint: z.string().optional(),
    choices: z.array(z.string()).optional(),
    optional: z.boolean().optional(),
  })
  .openapi('Field') satisfies Whole<said.Field>

type Step<A extends said.FlowStep['ask']> = Extract<said.FlowStep, { ask: A }>

const everySeconds = z.number().optional()

const visit = z.strictObject({
  ask: z.literal('visit'),
  url: link,
  until: time,
  everySeconds,
}) satisfies Whole<Step<'visit'>>

const enterCode = z.strictObject({
  ask: z.literal('enter-code'),
  code: z.string(),
  at: link,
  whole: link.optional(),
  device: z.string().optional(),
  until: time,
  everySeconds,
}) satisfies Whole<Step<'enter-code'>>

const fill = z.strictObject({
  ask: z.literal('fill'),
  fields: z.array(field),
  because: z.string().optional(),
  code: z.string().optional(),
  at: link.optional(),
}) satisfies Whole<Step<'fill'>>

const wait = z.strictObject({
  ask: z.literal('wait'),
  for: z.string(),
  until: time,
}) satisfies Whole<Step<'wait'>>

const handOver = z.strictObject({
  ask: z.literal('hand-over'),
  because: z.string(),
  until: time,
}) satisfies Whole<Step<'hand-over'>>

const steps = { visit, 'enter-code': enterCode, fill, wait, 'hand-over': handOver } satisfies {
  [A in said.FlowStep['ask']]: z.ZodType
}

const flowStep = z
  .discriminatedUnion('ask', [steps.visit, steps['enter-code'], steps.fill, steps.wait, steps['hand-over']])
  .openapi('FlowStep')

const failure = z
  .strictObject({ code: z.string(), detail: z.string(), hint: z.string().nullable(), reaction })
  .openapi('Failure') satisfies Whole<said.Failure>

const passedOver = z
  .strictObject({ flow: z.string(), label: z.string(), why: z.string(), hint: z.string().nullable() })
  .openapi('PassedOver') satisfies Whole<said.PassedOver>

export const flowSession = z
  .strictObject({
    id: z.string(),
    provider: z.string().nullable(),
    bucket: z.string(),
    flow: z.string(),
    state: z.enum({
      asking: 'asking',
      done: 'done',
      failed: 'failed',
      cancelled: 'cancelled',
      interrupted: 'interrupted',
    } satisfies Each<said.FlowSessionState>),
    step: flowStep.nullable(),
    account: account.nullable(),
    receipt: receipt.nullable(),
    failure: failure.nullable(),
    passedOver: z.array(passedOver),
    instead: way.nullable(),
    notice: z.string().nullable(),
    expiresAt: time,
  })
  .openapi('FlowSession') satisfies Whole<said.FlowSession>
