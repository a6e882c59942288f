import { describe, expect, it } from 'vitest'
import { type Desk, remoteDesk, ValetkeyError } from '#client'
import { httpDoor } from '../doors/http/door.ts'
import type { Broker } from '../model/broker.ts'
import { type Caller, THE_PERSON } from '../model/caller.ts'
import { brokenPromises } from './check.ts'
import { doorChecks, type OpenDoor, type OpenedDoor } from './door-contract.ts'

/** A door that keeps its promises, until something in it is replaced. */
const whole = (broker: Broker, caller: Caller): OpenedDoor => {
  const door = httpDoor({
    version: '0.0.0',
    desk: broker.as,
    keeper: broker.keeper,
    identify: async () => caller,
  })
  return remoteDesk({ base: 'http://door', fetch: (url, init) => door.fetch(new Request(url, init)) })
}

type Change = (desk: Desk, broker: Broker, caller: Caller) => Partial<Desk>

function changed(change: Change): OpenDoor {
  return async (broker, caller) => {
    const { desk, keeper } = whole(broker, caller)
    return { keeper, desk: { ...desk, ...change(desk, broker, caller) } }
  }
}

const DOUBLES: Record<string, [OpenDoor, string]> = {
  'takes everybody for the owner': [
    async (broker, caller) => whole(broker, { ...caller, id: THE_PERSON }),
    'is no more at the door than at the broker: each caller has what is bound to it',
  ],
  'tells a stranger what is there': [
    changed((desk, broker, caller) => ({
      lend: async (request) => {
        const known = await broker.as({ ...caller, id: THE_PERSON }).accounts()
        if (known.length > 0) throw new ValetkeyError('not-allowed', 'this one is not yours')
        return desk.lend(request)
      },
    })),
    'does not tell a stranger what is connected and what is not',
  ],
  'says its own words instead of JSON': [
    changed((_, broker, caller) => ({
      accounts: async () =>
        (await broker.as(caller).accounts()) as unknown as Awaited<ReturnType<Desk['accounts']>>,
    })),
    'speaks JSON: what it says is the same after it was written and read',
  ],
  'calls every refusal a mistake': [
    changed((desk) => ({
      unbind: (id) =>
        desk.unbind(id).catch(() => Promise.reject(new ValetkeyError('internal-error', 'a mistake'))),
    })),
    'refuses with the code, and with what to do next',
  ],
  'waits for the whole body': [
    changed((desk) => ({
      forward: async (request) => {
        const late = new Promise<'late'>((resolve) => setTimeout(resolve, 2000, 'late'))
        const body = await Promise.race([new Response(request.body ?? null).text(), late])
        if (body === 'late') throw new ValetkeyError('too-large', 'the body does not end')
        return desk.forward({ ...request, body: body === '' ? null : body })
      },
    })),
    'streams a body there and back',
  ],
  'takes what the provider says for its own': [
    changed((desk) => ({
      forward: async (request) => {
        const answer = await desk.forward(request)
        if (answer.status === 423) throw new ValetkeyError('locked', 'the vault is locked')
        return answer
      },
    })),
    'passes on what the provider refuses as the provider said it',
  ],
  'forgets where a listener was': [
    changed((desk) => ({ events: ({ signal } = {}) => desk.events(signal === undefined ? {} : { signal }) })),
    'tells what changes, and goes on after the last event that was seen',
  ],
  'shows a secret beside what it was asked for': [
    changed((desk) => {
      let seen = ''
      return {
        connect: (request) => {
          seen = request.fields?.['key'] ?? seen
          return desk.connect(request)
        },
        accounts: async () => (await desk.accounts()).map((account) => ({ ...account, reason: seen })),
      }
    }),
    'says no secret but the one that was asked for',
  ],
}

describe('the door contract', () => {
  it('finds nothing wrong with a door that keeps its promises', async () => {
    expect(await brokenPromises(doorChecks(async (...all) => whole(...all)))).toEqual([])
  })

  it.each(Object.entries(DOUBLES))('finds a door that %s', async (_, [open, promise]) => {
    const told = (door: OpenDoor) => doorChecks(door).filter(({ name }) => name === promise)
    expect(await brokenPromises(told(async (...all) => whole(...all)))).toEqual([])
    expect(await brokenPromises(told(open))).toEqual([promise])
  })
})
