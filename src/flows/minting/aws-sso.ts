import { ValetkeyError } from '#client'
import type { Mint } from '../../model/mint.ts'
import { keysFor } from '../aws/sso-keys.ts'
import { refuseWished } from './wishes.ts'

const ROLE = /^(\d{12})\/([\w+=,.@-]{1,64})$/

/** Keys of another role, or in another account, that are assigned to the same person. */
export const awsSsoMint: Mint = {
  how: 'aws-sso',
  isBeyond: ({ subject }, { audience }) => audience !== subject,
  async mint(context, { kept }, wish) {
    refuseWished(wish, ['scopes', 'repositories'], 'AWS gives the keys of a role whole')
    const [, accountId, roleName] = ROLE.exec(wish.audience ?? '') ?? []
    if (accountId === undefined || roleName === undefined)
      throw new ValetkeyError('invalid-request', 'this is no role of an account at AWS', {
        hint: 'write the account and the role, such as 123456789012/ReadOnly',
      })
    return keysFor(context, kept, { accountId, roleName })
  },
}
