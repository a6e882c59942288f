import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { openTestHouse, refusal } from '../../test/house.ts'
import { Secret } from '../model/secret.ts'
import { canary } from '../testing/canary.ts'
import { standIn } from '../testing/stand-in.ts'

describe('the record', () => {
  it('[security 20.2] holds no secret of what it tells, for its reader or on the disk', async () => {
    const key = `sk-${canary('recorded')}`
    const [next, wrong] = [`sk-${canary('next')}`, `sk-${canary('wrong')}`]
    const right = [key, next].map((one) => `Bearer ${one}`)
    const provider = await standIn({
      '*': ({ headers }) =>
        right.includes(String(headers['authorization'])) ? { body: {} } : { status: 401 },
    }).listen()
    const house = await openTestHouse({ origins: { openai: provider.origin } })
    const { owner, keeper } = house
    const fields = (value: string) => ({ fields: { key: new Secret(value) } })

    await owner.connect({ provider: 'openai', ...fields(wrong) })
    const { id } = await owner.connect({ provider: 'openai' })
    await owner.answer(id, fields(wrong))
    await owner.answer(id, fields(key))
    await refusal(owner.lend({ address: 'openai' }))
    await refusal(owner.lend({ address: wrong }))
    await owner.bind({ caller: 'app:x', address: 'openai', may: ['reveal'], asks: 'never' })
    const lent = await house.as('app:x').reveal({ address: 'openai', purpose: 'to see' })
    expect(lent.token.reveal()).toBe(key)
    const { body } = await owner.forward({ address: 'openai', method: 'GET', path: '/v1/x' })
    await body?.cancel()
    await keeper.export(new Secret(wrong))
    await owner.rotate('openai', fields(next))
    await owner.revoke('openai')

    const entries = await owner.audit({ limit: 1000 })
    expect(new Set(entries.map(({ verb }) => verb))).toEqual(
      new Set(['connect', 'lend', 'bind', 'reveal', 'forward', 'export', 'rotate', 'revoke', 'read-audit']),
    )
    const disk = await house.meanwhile((file) => readFile(file, 'latin1'))
    for (const secret of [key, next, wrong]) {
      for (const written of [secret, Buffer.from(secret).toString('base64').slice(0, 40)]) {
        expect(JSON.stringify(entries)).not.toContain(written)
        expect(disk).not.toContain(written)
      }
    }
    await house.close()
    await provider.close()
  })
})
