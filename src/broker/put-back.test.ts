import { copyFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { refusal, type TestHouse } from '../../test/house.ts'
import { renewingHouse, type Upstream } from '../../test/renewing.ts'

let house: TestHouse
let upstream: Upstream

beforeEach(async () => {
  ;({ house, upstream } = await renewingHouse())
})
afterEach(() => house.close())

const lend = async () => (await house.owner.lend({ address: 'practice' })).token.reveal()
const backUp = () => house.meanwhile((file) => copyFile(file, `${file}.old`))
const putBack = () => house.meanwhile((file) => copyFile(`${file}.old`, file))
const standing = async () => (await house.owner.accounts()).map(({ status, reason }) => ({ status, reason }))

describe('[security 19.3] an older copy of the vault that was put back', () => {
  it('has its tokens tried once it is accepted, and tells those that were used since', async () => {
    await backUp()
    await house.owner.refresh('practice')
    await putBack()
    expect(await refusal(lend())).toMatchObject({ code: 'vault-restored' })
    await house.keeper.acceptRestore()
    const reason = 'an older copy of the vault was put back, with tokens that were used since'
    expect(await refusal(lend())).toEqual({
      code: 'needs-reauth',
      message: `practice has to be connected again: ${reason}`,
      hint: 'valetkey reconnect practice',
    })
    expect(await standing()).toEqual([{ status: 'needs-reauth', reason }])
  })

  it('goes on with those that were not', async () => {
    await backUp()
    await house.owner.audit({})
    await house.owner.bind({ caller: 'app:reports', address: 'practice', may: ['lend'], asks: 'never' })
    await putBack()
    await house.keeper.acceptRestore()
    expect(await lend()).toBe(upstream.token)
    expect(await standing()).toEqual([{ status: 'connected', reason: null }])
    upstream.meanwhile = () => Promise.reject(new ValetkeyError('access-revoked', 'of the provider'))
    house.clock.pass({ hours: 1 })
    // What dies after that dies for a reason of its own.
    expect(await refusal(lend())).toMatchObject({
      message: 'practice has to be connected again: of the provider',
    })
  })
})
