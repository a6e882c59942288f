import { describe, expect, it } from 'vitest'
import type { RedirectWish } from '../../model/callbacks.ts'
import { canary } from '../../testing/canary.ts'
import { pageCallbacks } from './page-callbacks.ts'

const PAGE = new URL('http://127.0.0.1:4321')
const open = () => pageCallbacks(async () => PAGE)
const wish = (more: Partial<RedirectWish> = {}): RedirectWish => ({
  provider: 'github',
  flow: 'flow-1',
  host: '127.0.0.1',
  port: undefined,
  path: undefined,
  state: canary('state'),
  until: new Date(Date.now() + 60_000),
  ...more,
})
const decided = async () => ({ done: true, provider: 'GitHub' })

describe('coming back to the page', () => {
  it('[security 1.4] has a path of its own for every provider', async () => {
    const { open: at } = open()
    const [github, acme] = [await at(wish(), decided), await at(wish({ provider: 'acme' }), decided)]
    expect(github.redirectUri.href).toBe('http://127.0.0.1:4321/oauth/callback/github')
    expect(acme.redirectUri.href).toBe('http://127.0.0.1:4321/oauth/callback/acme')
  })

  it('is for a sign-in whose provider has nothing fixed, or just this', async () => {
    const { suits } = open()
    expect(await suits(wish())).toBe(true)
    expect(await suits(wish({ port: 4321, path: '/oauth/callback/github' }))).toBe(true)
    expect(await suits(wish({ port: 4321, path: '/oauth/callback/acme' }))).toBe(false)
    expect(await suits(wish({ port: 8080, path: '/oauth/callback/github' }))).toBe(false)
    expect(await suits(wish({ path: '/callback/github' }))).toBe(false)
    const localhost = wish({ host: 'localhost', port: 4321, path: '/oauth/callback/github' })
    expect(await suits(localhost)).toBe(false)
  })

  it('[security 1.3] knows a state once, until its time is over or nobody waits any more', async () => {
    const page = open()
    const [once, late, left] = [wish(), wish({ until: new Date() }), wish({ flow: 'flow-2' })]
    for (const one of [once, late]) await page.open(one, decided)
    const { close } = await page.open(left, decided)
    expect([page.awaits('flow-1'), page.awaits('flow-2')]).toEqual([true, true])
    await close()
    expect(page.awaits('flow-2')).toBe(false)
    expect(page.take(once.state)).toMatchObject({ flow: 'flow-1' })
    for (const { state } of [once, late, left]) expect(page.take(state)).toBeUndefined()
  })
})
