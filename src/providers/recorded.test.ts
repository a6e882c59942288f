import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { liveCheck } from '../flows/filled/live-check.ts'
import type { OAuth, Provider } from '../model/provider.ts'
import { openNetwork } from '../network/network.ts'
import { USUAL } from '../open.ts'
import { brokenPromises } from '../testing/check.ts'
import { type RecordedKit, recordedChecks, recordedContract } from '../testing/recorded.ts'
import { type Recorded, recordedSchema } from '../testing/recorded-shape.ts'
import { readBuiltIn } from './built-in.ts'
import { openCatalogue } from './catalogue.ts'

const FOLDER = new URL('../../test/providers/', import.meta.url)

const builtIn = readBuiltIn()

const kit: RecordedKit = {
  flows: USUAL.flows,
  catalogue: (origins) => openCatalogue({ builtIn, own: [], origins }),
  network: (allow) => openNetwork({ allow }),
  isAlive: async (context, credential) => {
    const { verify } = context.signIn
    if (verify === undefined) return undefined
    const vars = Object.entries(context.known).map(([name, secret]) => [name, secret.reveal()])
    const destination = context.catalogue.destination(context.provider, Object.fromEntries(vars))
    return (await liveCheck(context, verify, destination, credential)).alive
  },
}

const recorded = readdirSync(FOLDER).filter((file) => file.endsWith('.json'))

for (const file of recorded) {
  const provider = builtIn.find(({ id }) => `${id}.json` === file)
  if (provider) recordedContract(provider, shapeIn(file), kit)
}

describe('the recorded providers', () => {
  it('are all ours', () => {
    expect(recorded.filter((file) => !builtIn.some(({ id }) => `${id}.json` === file))).toEqual([])
  })
})

describe('a provider that is not as it was recorded', () => {
  const slack = builtIn.find(({ id }) => id === 'slack')
  if (!slack) throw new Error('there is no slack')
  const shape = recordedSchema.parse(shapeIn('slack.json'))
  const { answers } = shape
  const byBrowser = 'leads to an account by authorization-code'
  const byKey = 'leads to an account by api-key'
  const all = 'is asked for all that was recorded'

  const broken = (change: Partial<Recorded>, provider: Provider = slack) =>
    brokenPromises(recordedChecks(provider, { ...shape, ...change }, kit))
  const without = (on: string) => answers.filter((answer) => answer.on !== on)

  it('is as it was, as it stands', async () => {
    expect(await broken({})).toEqual([])
  })

  it.each<[string, Partial<Recorded>, readonly string[]]>([
    ['asks for what nobody recorded', { answers: without('POST /api/auth.test') }, [byBrowser, byKey, all]],
    ['cannot be ended as it says', { answers: without('POST /api/auth.revoke') }, [byBrowser, all]],
    [
      'is asked for less than was recorded',
      { answers: [...answers, { ...answers[0], on: 'GET /api/team.info' }] as Recorded['answers'] },
      [all],
    ],
    [
      'has other ways in',
      { expect: { 'api-key': { renews: false, ends: false } } },
      ['was recorded by each of its ways in, and by no other', all],
    ],
    [
      'yields another account',
      { expect: { ...shape.expect, 'api-key': { subject: 'U0EVE', renews: false, ends: false } } },
      [byKey, all],
    ],
    [
      'renews what it is not said to',
      { expect: { ...shape.expect, 'authorization-code': { renews: false, ends: true } } },
      [byBrowser, all],
    ],
  ])('fails where it %s', async (_, change, promises) => {
    expect(await broken(change)).toEqual(promises)
  })

  const { oauth, signIns } = slack
  const changed = (change: Partial<OAuth>): Partial<Provider> => ({ oauth: oauth && { ...oauth, ...change } })
  const credulous = signIns.map((signIn) => ({
    ...signIn,
    verify: signIn.verify && {
      ...signIn.verify,
      okAt: undefined,
      subject: undefined,
      displayName: undefined,
    },
  }))

  const lenient = {
    'authorization-code': { renews: true, ends: true },
    'api-key': { renews: false, ends: false },
  }

  it.each<[string, Partial<Provider>]>([
    ['goes on after its grant is over', changed({ over: [] })],
    ['does not look for its tokens where they are', changed({ shape: undefined })],
    ['takes a dead credential for a living one', { signIns: credulous }],
  ])('fails where it %s', async (_, change) => {
    const other = { ...slack, ...change }
    const files = builtIn.map((one) => (one === slack ? other : one))
    const catalogue: RecordedKit['catalogue'] = (origins) =>
      openCatalogue({ builtIn: files, own: [], origins })
    const broken = await brokenPromises(
      recordedChecks(other, { ...shape, expect: lenient }, { ...kit, catalogue }),
    )
    expect(broken).toContain(byBrowser)
  })
})

function shapeIn(file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))
}
