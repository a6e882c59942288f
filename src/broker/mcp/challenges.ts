import { ValetkeyError } from '#client'
import type { Provider } from '../../model/provider.ts'
import { bearerChallenge } from '../../protocol/challenge.ts'
import { challengedScopes } from '../../protocol/protected-resource.ts'
import type { Sent } from '../forwarding/sending.ts'
import type { Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { adds, asFoundNow, keepNoted, wishes, withScopes } from './authority.ts'

/** More is never asked for, whatever a server says. */
const MOST_SCOPES = 100

/**
 * What a protected resource says along with a refusal is heeded here: that more scopes are needed than were
 * granted, or that tokens of another authorization server are. Either is for the next sign-in, which is the
 * owner's to do.
 */
export async function heeded(kit: Kit, whole: Whole, sent: Sent): Promise<Sent> {
  const provider = kit.catalogue.find(whole.account.provider, whole.account.flow)
  if (provider?.oauth?.resource === undefined) return sent
  const { status } = sent.answer
  if (status === 401 && sent.retry === 'refused-again') await lookAgain(kit, whole, provider)
  if (status !== 403 || !(await lacksScopes(kit, whole, provider, challengeOf(sent)))) return sent
  return { ...sent, retry: 'missing-scopes' }
}

/** Why a fresh token is refused may be that the server trusts another issuer by now. */
async function lookAgain(kit: Kit, { account }: Whole, provider: Provider): Promise<void> {
  await asFoundNow(kit, account.owner, provider).catch((error: unknown) => {
    if (!(error instanceof ValetkeyError)) throw error
  })
}

/**
 * They are asked for from now on along with all that was asked before, so the account shows that scopes are
 * missing. What was granted and is refused all the same is not asked for once more.
 */
async function lacksScopes(
  kit: Kit,
  { account: { flow, owner }, credential }: Whole,
  provider: Provider,
  header: string | undefined,
): Promise<boolean> {
  const challenge = bearerChallenge(header)
  if (challenge?.params.get('error') !== 'insufficient_scope') return false
  const wanted = challengedScopes(challenge) ?? []
  const granted = credential.wornScopes ?? credential.scopes
  if (wanted.every((scope) => granted.includes(scope))) return false
  if (!adds(provider, wanted)) return true
  const asked = provider.signIns.find((signIn) => signIn.flow === flow)?.scopes ?? []
  if (kit.catalogue.isBuiltIn(provider.id) || new Set([...asked, ...wanted]).size > MOST_SCOPES) return false
  await keepNoted(kit, owner, withScopes(provider, wanted), wishes(wanted))
  return true
}

function challengeOf({ answer }: Sent): string | undefined {
  return answer.headers.find(([name]) => name.toLowerCase() === 'www-authenticate')?.[1]
}
