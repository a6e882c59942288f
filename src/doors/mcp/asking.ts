import { z } from 'zod'
import { type Ask, type Desk, formatAddress } from '#client'
import { tool } from './tool.ts'
import { account, id, type Shown, wait, writtenAddress } from './words.ts'

export const ask = (desk: Desk) =>
  tool({
    name: 'ask',
    title: 'Ask the owner',
    description: [
      'Asks the owner to let you do requests with an account, with a reason that they will read.',
      'Call it again with the `ask` that it answers and a `wait`, until they have decided.',
    ].join(' '),
    input: z
      .strictObject({
        account: account.optional(),
        reason: z.string().min(1).max(200).optional().describe('What it is for, in plain words'),
        ask: id.optional().describe('One that you asked before'),
        wait,
      })
      .refine(
        ({ account, reason, ask }) => ask !== undefined || (account !== undefined && reason !== undefined),
        {
          message: 'this tool takes an account and a reason, or an ask',
        },
      ),
    annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: false },
    async work({ ask, wait, account = '', reason = '' }) {
      if (ask !== undefined) return shown(await desk.asked(ask, wait))
      const address = formatAddress(writtenAddress(account))
      const asked = await desk.ask({ address, may: ['forward'], reason })
      return shown(asked.state === 'pending' && wait > 0 ? await desk.asked(asked.id, wait) : asked)
    },
  })

const NEXT: Record<Ask['state'], string> = {
  pending:
    'The owner has not decided yet. Tell them that you wait, and call `ask` with this id and a `wait`.',
  allowed: 'You were let do it: go on.',
  refused: 'The owner said no. Do not ask for the same again; tell the person what you cannot do.',
  lapsed: 'Nobody decided it in time. Ask again only if the person is there to decide it.',
}

function shown({ id, address, state, decision, until }: Ask): Shown {
  return {
    ask: id,
    account: address,
    state,
    ...(decision !== null && { decision }),
    ...(until !== null && { until }),
    next: NEXT[state],
    ...(state === 'pending' && { forThePerson: `valetkey asks allow ${id}` }),
  }
}
