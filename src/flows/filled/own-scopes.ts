import { ValetkeyError } from '#client'
import type { SignIn } from '../../model/provider.ts'
import { isScope } from '../../protocol/scopes.ts'
import { own, type Values } from './key-fields.ts'

/** Where a provider cannot know what it is wanted for, the person says so in a field of this name. */
export function ownScopes(values: Values): readonly string[] {
  const scopes =
    own(values, 'scopes')
      ?.split(/[\s,]+/)
      .filter(Boolean) ?? []
  if (scopes.every(isScope)) return scopes
  throw new ValetkeyError('invalid-request', 'these cannot be scopes')
}

/** What else the sign-in asks for is remembered with the account, so that it is not asked for twice. */
export function saidIn({ fields }: Pick<SignIn, 'fields'>, values: Values): Values {
  return Object.fromEntries(
    fields.flatMap(({ name, secret }) => {
      const value = secret ? undefined : own(values, name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
