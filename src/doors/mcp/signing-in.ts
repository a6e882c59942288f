import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { type Account, type Desk, type FlowSession, formatAddress, ValetkeyError } from '#client'
import { shownSession } from './steps.ts'
import { tool } from './tool.ts'
import { account, addressOf, id, type Shown, shownAccount, wait, writtenAddress } from './words.ts'

const LOOK_AGAIN_MS = 500

export const accounts = (desk: Desk) =>
  tool({
    name: 'accounts',
    title: 'List the accounts',
    description: 'The accounts that you may use, and how they are.',
    input: z.strictObject({}),
    annotations: { readOnlyHint: true, openWorldHint: false },
    work: async () => ({ accounts: (await desk.accounts()).map(shownAccount) }),
  })

export const connect = (desk: Desk, signIns: Desk) =>
  tool({
    name: 'connect',
    title: 'Connect an account',
    description: [
      'Begins a sign-in, or signs in again. It answers with a link or a code for the person, never with a secret.',
      'Show it to them, then call `status` with the session.',
    ].join(' '),
    input: z.strictObject({
      account,
      flow: z.string().max(64).optional().describe('Which way of signing in, where there are several'),
    }),
    annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: true },
    async work({ account, flow }) {
      const place = writtenAddress(account)
      const address = formatAddress(place)
      const how = flow === undefined ? {} : { flow }
      const there = await findAccount(signIns, address)
      if (there?.status === 'connected' && (await findAccount(desk, address)) === undefined)
        throw new ValetkeyError('not-allowed', `${address} is connected, and nobody has let you use it`)
      const again = there !== undefined && there.status !== 'revoked'
      const isWorking = there?.status === 'connected' && flow !== undefined
      const session = await (isWorking
        ? signedInAsBefore(signIns, address, flow)
        : again
          ? signIns.reconnect(address, how)
          : signIns.connect({ ...place, ...how }))
      const words = ['valetkey', again ? 'reconnect' : 'connect', address]
      const command = [...words, ...(flow === undefined ? [] : ['--flow', flow])].join(' ')
      return shownSession(signIns, session, command)
    },
  })

export const status = (desk: Desk, signIns: Desk) =>
  tool({
    name: 'status',
    title: 'See how it goes',
    description: 'How a sign-in under way is, by its `session`; or how an account is, by its name.',
    input: z
      .strictObject({
        session: id.optional().describe('What `connect` answered'),
        account: account.optional(),
        wait,
      })
      .refine(({ session, account }) => (session === undefined) !== (account === undefined), {
        message: 'this tool takes a session or an account',
      }),
    annotations: { readOnlyHint: true, openWorldHint: false },
    work: ({ session, account = '', wait }, signal) =>
      session === undefined ? howAccountIs(desk, account) : howSignInIs(signIns, session, wait, signal),
  })

/** What works is not replaced by a login of another kind because an agent says so: that is for its owner to say. */
async function signedInAsBefore(desk: Desk, address: string, flow: string): Promise<FlowSession> {
  const session = await desk.reconnect(address)
  if (session.flow === flow) return session
  await desk.cancel(session.id).catch(() => undefined)
  throw new ValetkeyError('conflict', `${address} is connected another way, and stays as it is`, {
    hint: `valetkey reconnect ${address} --flow ${flow} puts that in its place`,
    reaction: 'ask-the-person',
  })
}

/** As soon as there is something new to say of it, or after so long. */
async function howSignInIs(desk: Desk, id: string, seconds: number, signal: AbortSignal): Promise<Shown> {
  const first = await desk.flow(id)
  let now = first
  for (const end = Date.now() + seconds * 1000; Date.now() < end && isSame(now, first); ) {
    await pause(LOOK_AGAIN_MS, undefined, { signal })
    now = await desk.flow(id)
  }
  return shownSession(desk, now, 'valetkey connect')
}

function isSame({ state, step }: FlowSession, first: FlowSession): boolean {
  return state === 'asking' && JSON.stringify(step) === JSON.stringify(first.step)
}

async function howAccountIs(desk: Desk, written: string): Promise<Shown> {
  const address = formatAddress(writtenAddress(written))
  const found = await findAccount(desk, address)
  if (found !== undefined) return shownAccount(found)
  throw new ValetkeyError('not-connected', `there is no account at ${address} that you may use`)
}

async function findAccount(desk: Desk, address: string): Promise<Account | undefined> {
  return (await desk.accounts()).find((one) => addressOf(one) === address)
}
