import { describe, expect, it } from 'vitest'
import type { Credential } from '../../model/credential.ts'
import type { SignIn } from '../../model/provider.ts'
import type { Read } from '../../model/references.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import { canary } from '../../testing/canary.ts'
import type { Kit } from '../kit.ts'
import { openReadings } from '../references.ts'
import { referring } from './referring.ts'

const KEY = 'op://Private/Datadog/key'
const APP = 'exec:/usr/local/bin/app-key'
const [key, app] = [canary('key'), canary('app')]
const now = () => new Date('2027-03-01T12:00:00Z')
const soon = new Date('2027-03-01T12:30:00Z')

/** What lies where at the moment. */
const there = (more: Readonly<Record<string, Partial<Read>>> = {}): Kit => {
  const all: Readonly<Record<string, Read>> = {
    [KEY]: { value: new Secret(`  ${key}\n`), until: null, ...more[KEY] },
    [APP]: { value: new Secret(app), until: null, ...more[APP] },
  }
  const read = async (text: string) => all[text] ?? Promise.reject(new Error('it was not to be read'))
  return { readings: openReadings({ references: { read }, now, monotonic: () => 0 }) } as unknown as Kit
}

const signIn = {
  fields: [
    { name: 'key', label: 'API key' },
    { name: 'app', label: 'Application key' },
  ],
} as unknown as SignIn
const session = (caller = 'person:owner', owner = 'person:owner') =>
  ({ caller, owner }) as unknown as FlowSessionRow
const given = (fields: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, new Secret(text)])),
})
const credential = (
  worn: Readonly<Record<string, string>>,
  kept: Readonly<Record<string, string>> = {},
): Credential => ({
  worn: given(worn).fields,
  kept: given(kept).fields,
  standing: true,
  expiresAt: null,
  scopes: [],
  tokenType: 'key',
})
const plain = ({ worn, kept }: Credential) =>
  Object.fromEntries(Object.entries({ ...worn, ...kept }).map(([name, secret]) => [name, secret.reveal()]))

describe('what is written down of a sign-in with references', () => {
  it('is the references, in its memory as in its yield, while the flow sees the values', async () => {
    const fields = { fields: { key: KEY, app: APP, site: KEY } }
    const refers = await referring(there(), session(), signIn, fields, undefined)
    expect(refers.known(fields.fields)).toEqual({ key, app, site: KEY })
    const memory = refers.fromFlow(new Secret(JSON.stringify({ values: { key, app, n: 1 }, because: 'x' })))
    expect(JSON.parse(memory.reveal())).toEqual({ values: { key: KEY, app: APP, n: 1 }, because: 'x' })
    expect(JSON.parse(refers.toFlow(memory).reveal())).toEqual({ values: { key, app, n: 1 }, because: 'x' })
    const sealed = refers.sealed(credential({ key }, { app, other: 'kept' }))
    expect(plain(sealed)).toEqual({ key: KEY, app: APP, other: 'kept' })
    expect(sealed.references).toEqual({ key: KEY, app: APP })
  })

  it('is the reference too where the flow calls it by another name, or has changed it', async () => {
    const refers = await referring(there(), session(), signIn, { fields: { key: KEY } }, undefined)
    expect(plain(refers.sealed(credential({ token: key })))).toEqual({ token: KEY })
    expect(plain(refers.sealed(credential({ key: `${key}-normalised` })))).toEqual({ key: KEY })
  })

  it('has an end only where all that is worn has one', async () => {
    const fields = { fields: { key: KEY, app: APP } }
    const one = await referring(there({ [KEY]: { until: soon } }), session(), signIn, fields, undefined)
    expect(one.sealed(credential({ key, app }))).toMatchObject({ standing: true, expiresAt: null })
    expect(one.sealed(credential({ key }, { app }))).toMatchObject({ standing: false, expiresAt: null })
    expect(one.sealed(credential({ key, user: 'ada' }))).toMatchObject({ standing: true })
  })

  it('follows what was answered last', async () => {
    const known = { fields: { key: KEY } }
    const value = await referring(there(), session(), signIn, known, given({ key: 'typed' }))
    expect(value.references).toEqual({})
    const later = { ...known, references: value.references }
    expect((await referring(there(), session(), signIn, later, undefined)).references).toEqual({})
    const again = await referring(there(), session(), signIn, later, given({ app: ` ${APP} ` }))
    expect(again.references).toEqual({ app: APP })
    const answer = again.answer(given({ app: ` ${APP} ` }))
    expect(answer && 'fields' in answer && answer.fields['app']?.reveal()).toBe(app)
  })
})

describe('what only looks like a reference', () => {
  it.each([
    ['of somebody else', session('app:agent')],
    ['of another owner', session('person:eve', 'person:eve')],
  ])('is words where it is %s', async (_, whose) => {
    const refers = await referring(there(), whose, signIn, { fields: { key: KEY } }, given({ app: APP }))
    expect(refers.references).toEqual({})
    expect(refers.known({ key: KEY })).toEqual({ key: KEY })
  })

  it('is words in a field that nobody is asked for, and in what a server says', async () => {
    const fields = { fields: { key: KEY, issued: APP, site: APP } }
    const refers = await referring(there(), session(), signIn, fields, undefined)
    expect(refers.references).toEqual({ key: KEY })
    expect(refers.toFlow(new Secret(JSON.stringify({ token: APP }))).reveal()).toBe(
      JSON.stringify({ token: APP }),
    )
    expect(plain(refers.sealed(credential({ key }, { refreshToken: APP })))).toEqual({
      key: KEY,
      refreshToken: APP,
    })
    expect(refers.sealed(credential({ key }, { refreshToken: APP })).references).toEqual({ key: KEY })
  })
})
