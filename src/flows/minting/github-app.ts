import { ValetkeyError } from '#client'
import type { Credential } from '../../model/credential.ts'
import type { FlowContext } from '../../model/flow.ts'
import type { Mint, Wish } from '../../model/mint.ts'
import {
  endToken,
  type IssuedToken,
  isAtMost,
  issueToken,
  type Less,
  permissionsOf,
} from '../github-app/api.ts'
import { appOf, credentialOf } from '../github-app.ts'
import { refuseWished } from './wishes.ts'

/** A token for some of the repositories and permissions of an installation. */
export const githubAppMint: Mint = {
  how: 'github-app',
  ends: true,

  async mint(context, { kept, scopes }, wish) {
    refuseWished(wish, ['audience'], 'a token of a GitHub App is for nobody by name')
    const app = appOf(kept)
    if (app === undefined) throw new ValetkeyError('needs-reauth', 'the key of the app is not there')
    const less = lessOf(wish, kept['account']?.reveal() ?? '')
    const issued = await issueToken(context, {}, app, less).catch((error: unknown) => {
      throw error instanceof ValetkeyError && error.code === 'invalid-request' ? beyond(error, scopes) : error
    })
    if (!isWhatWasAsked(issued, less)) await giveBack(context, issued)
    return credentialOf(issued, {})
  },
}

function lessOf({ scopes, repositories }: Wish, account: string): Less {
  return {
    ...(scopes && { permissions: permissionsOf(scopes) }),
    ...(repositories && { repositories: repositories.map((one) => nameOf(one, account)) }),
  }
}

/** Named with its owner it has to be one of the account on which the app is installed. */
function nameOf(repository: string, account: string): string {
  const [, owner, name] = /^(?:([\w.-]+)\/)?([\w.-]+)$/.exec(repository) ?? []
  if (name === undefined)
    throw new ValetkeyError('invalid-request', 'this is no repository', { hint: 'write owner/name' })
  if (owner === undefined || owner.toLowerCase() === account.toLowerCase()) return name
  throw new ValetkeyError('invalid-request', `the app is not installed on ${owner}`, {
    hint: `it is installed on ${account}`,
  })
}

function isWhatWasAsked({ permissions, repositories = [] }: IssuedToken, less: Less): boolean {
  const [given, asked] = [repositories.map(({ name }) => name), less.repositories ?? []].map((names) =>
    names.map((name) => name.toLowerCase()).toSorted(),
  )
  const isSame =
    less.repositories === undefined || JSON.stringify(given) === JSON.stringify([...new Set(asked)])
  return isSame && (less.permissions === undefined || isAtMost(permissions, less.permissions))
}

async function giveBack(context: FlowContext, { token }: IssuedToken): Promise<never> {
  await endToken(context, {}, token).catch(() => false)
  throw new ValetkeyError(
    'bad-answer',
    'GitHub gave another token than was asked for, which was ended at once',
  )
}

function beyond({ message }: ValetkeyError, scopes: Credential['scopes']): ValetkeyError {
  return new ValetkeyError('invalid-request', message, {
    hint: `it may do no more than ${scopes.join(', ')}`,
  })
}
