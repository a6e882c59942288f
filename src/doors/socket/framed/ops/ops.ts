import type { Version } from '../limits.ts'
import { getApiKey, hasApiKey, listApiKeys } from './keys.ts'
import { getBucketStats, listBuckets, listProviders } from './lists.ts'
import type { Op } from './op.ts'
import { oauthCancel, oauthExchange, oauthInitiate, oauthPoll } from './sign-ins.ts'
import { getToken, refreshToken, removeToken, saveToken } from './tokens.ts'

/** Frozen: what is newer is said over HTTP, at the same socket. A map, so that nothing is inherited. */
export const OPS: ReadonlyMap<unknown, Op> = new Map<string, Op>([
  ['get_token', getToken],
  ['save_token', saveToken],
  ['remove_token', removeToken],
  ['list_providers', listProviders],
  ['list_buckets', listBuckets],
  ['get_bucket_stats', getBucketStats],
  ['get_api_key', getApiKey],
  ['list_api_keys', listApiKeys],
  ['has_api_key', hasApiKey],
  ['oauth_initiate', oauthInitiate],
  ['oauth_exchange', oauthExchange],
  ['oauth_poll', oauthPoll],
  ['oauth_cancel', oauthCancel],
  ['refresh_token', refreshToken],
])

/** The one operation that is about the connection itself. */
export const CANCEL = 'cancel'

export function speaksCancel(version: Version): boolean {
  return version >= 2
}
