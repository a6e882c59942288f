import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Lookup } from '../../model/provider.ts'
import { refuseTrouble } from '../../protocol/ask.ts'
import { textAt, valueAt } from '../../protocol/pointer.ts'
import { strictJson } from '../../protocol/strict-json.ts'
import { shown } from './person.ts'
import { type AskedFor, askProvider } from './provider-request.ts'

/** No person chooses among more. */
const MOST = 200

/** What was found: each value, and what a person knows it by; no two by the same. */
export type Found = readonly { readonly label: string; readonly value: string }[]

/** Asks the provider's API what there is for a variable. */
export async function lookUp(context: FlowContext, lookup: Lookup, of: AskedFor): Promise<Found> {
  const answer = await askProvider(context, lookup.request, of)
  refuseTrouble(answer)
  if (answer.status !== 200)
    throw new ValetkeyError(
      'exchange-failed',
      `${context.provider.name} answered ${answer.status} when it was asked what this access is good for`,
    )
  const said = strictJson(answer.text)
  const list = lookup.list === undefined ? [said] : valueAt(said, lookup.list)
  if (!Array.isArray(list)) throw new ValetkeyError('bad-answer', 'the provider answered with no list')
  return told(list.slice(0, MOST).flatMap((one: unknown) => entryOf(lookup, one)))
}

function entryOf({ value: at, label }: Lookup, one: unknown): Found {
  const value = textAt(one, at)
  return value ? [{ value, label: shown(textAt(one, label)) ?? value }] : []
}

/**
 * What is called alike is told apart by its value, and nothing is there twice. Where something is called as if it
 * were another one with its value, so is everything.
 */
function told(all: Found): Found {
  const single = all.filter(({ value }, i) => all.findIndex((one) => one.value === value) === i)
  const isAlone = (label: string, among: Found) => among.filter((one) => one.label === label).length === 1
  const valued = ({ label, value }: Found[number]) => ({ value, label: `${label} (${value})` })
  const apart = single.map((one) => (isAlone(one.label, single) ? one : valued(one)))
  return apart.every(({ label }) => isAlone(label, apart)) ? apart : single.map(valued)
}
