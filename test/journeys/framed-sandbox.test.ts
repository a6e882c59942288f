import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { Desk } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { canary } from '../../src/testing/canary.ts'
import { framedClient } from '../../src/testing/framed-client.ts'
import { wherePaths } from '../../src/where.ts'
import { kill, type RealHome, realHome, until } from '../real.ts'

let home: RealHome

afterEach(() => home.close())

describe('a socket of a sandbox, at the real broker', () => {
  it('serves what was given, outlives a crash of the broker, and is cut off when it is ended', async () => {
    home = await realHome()
    home.start(['serve', '--no-page'])
    const pid = await until(home.holder)
    const desk = ownerDesk()
    await desk.connect({ provider: 'openai', insist: true, fields: { key: `sk-${canary('key')}` } })
    const { key } = await desk.narrow({ kind: 'socket', grants: [{ address: 'openai', may: ['forward'] }] })
    const path = key.socket ?? ''
    const first = await framedClient(path)
    expect((await first.ask('list_api_keys')).data).toEqual({ keys: ['openai'] })
    expect((await first.ask('get_api_key', { name: 'openai' })).code).toBe('FORBIDDEN')
    expect((await first.ask('oauth_initiate', { provider: 'github' })).code).toBe('FORBIDDEN')
    expect((await first.ask('remove_token', { provider: 'openai' })).code).toBe('FORBIDDEN')
    // The other language, as the same caller.
    const fetch = socketFetch(path)
    const accounts = await fetch('http://valetkey/api/accounts')
    expect(await accounts.json()).toMatchObject([{ providerId: 'openai', forwardOnly: true }])
    expect((await fetch('http://valetkey/api/audit')).status).toBe(403)

    await kill(pid)
    expect((await first.ask('list_api_keys')).code).toBe('CLOSED')
    expect(existsSync(path)).toBe(true)
    home.start(['serve', '--no-page'])
    await until(home.holder)
    const second = await until(() => framedClient(path).catch(() => undefined))
    expect((await second.ask('list_api_keys')).data).toEqual({ keys: ['openai'] })

    await ownerDesk().endKey(key.id)
    await pause(100)
    expect((await second.ask('list_api_keys')).code).toBe('CLOSED')
    expect(existsSync(path)).toBe(false)
  })
})

/** Over a connection of its own: the broker may have been another one a moment ago. */
function ownerDesk(): Desk {
  return deskOver(socketFetch(wherePaths(home).socket)).desk
}
