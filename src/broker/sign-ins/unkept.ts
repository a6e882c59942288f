import type { Unkept } from '../../model/flow.ts'
import type { Secret } from '../../model/secret.ts'
import type { FlowSessionRow, Rows } from '../../model/storage.ts'
import { ACCOUNT_ID } from '../accounts.ts'
import type { Kit } from '../kit.ts'
import { owe } from '../outbox/owed.ts'
import { provenanceOf } from '../provenance.ts'

// A sign-in may end after something was issued, and before anybody has use for it. That is not left alive at
// its provider.

type Of = Pick<FlowSessionRow, 'owner' | 'provider' | 'bucket' | 'flow'>

/** Owes its end to the provider. */
export async function oweUnkept(
  kit: Kit,
  { owner, provider, bucket, flow }: Of,
  { credential, profile }: Unkept['unkept'],
  rows: Rows,
): Promise<void> {
  const account = { id: `${ACCOUNT_ID}${kit.newId()}`, owner, provider: provider ?? '', bucket, flow }
  const from = provenanceOf(kit, account, profile)
  const { dueAt } = await owe(kit, rows, account, { credential, profile, from }, kit.now().getTime())
  kit.schedule.expect(dueAt)
}

/** The same for what lies in the memory of a sign-in, if anything does. */
export async function oweRemembered(
  kit: Kit,
  session: Of,
  memory: Secret | undefined,
  rows: Rows,
): Promise<void> {
  const unkept = unkeptIn(kit, session, memory)
  if (unkept !== undefined) await oweUnkept(kit, session, unkept, rows)
}

/** What was issued already and waits in a memory. */
export function unkeptIn(
  { flows }: Kit,
  { flow }: Pick<FlowSessionRow, 'flow'>,
  memory: Secret | undefined,
): Unkept['unkept'] | undefined {
  return memory && flows.get(flow)?.unkept?.(memory)
}

/** What was issued before something went wrong, as it rides along with the error. */
export function unkeptBy(error: unknown): Unkept['unkept'] | undefined {
  const { cause } = (error instanceof Error ? error : {}) as { cause?: Partial<Unkept> }
  return cause?.unkept
}
