import { ValetkeyError } from '#client'
import type { Mint, Wish } from '../../model/mint.ts'
import { keyOf, type Session, sessionOf } from '../aws/sts-api.ts'
import { refuseWished } from './wishes.ts'

const LIVES_SECONDS = '3600'
const ROLE = /^arn:aws(-[a-z-]+)?:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/
const ACTION = /^[a-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128}$/

/**
 * Keys of AWS that die within the hour: as whoever has the standing ones, or as a role that they may take on. What
 * a role may can be made less by scopes, each the name of an action; for a user AWS has nothing like that.
 */
export const awsStsMint: Mint = {
  how: 'aws-sts',
  async mint(context, credential, wish) {
    refuseWished(wish, ['repositories'], 'AWS has no repositories to hold a key to')
    return sessionOf(context, keyOf(credential), sessionFor(wish), wish.scopes ?? [])
  },
}

function sessionFor({ audience, scopes }: Wish): Session {
  if (audience === undefined) {
    refuseWished({ ...(scopes && { scopes }) }, ['scopes'], 'AWS gives a user no less than all, only a role')
    return { Action: 'GetSessionToken', DurationSeconds: LIVES_SECONDS }
  }
  if (!ROLE.test(audience))
    throw new ValetkeyError('invalid-request', 'this is no role of AWS', {
      hint: 'write its ARN, such as arn:aws:iam::123456789012:role/reports',
    })
  return {
    Action: 'AssumeRole',
    RoleArn: audience,
    RoleSessionName: 'valetkey',
    DurationSeconds: LIVES_SECONDS,
    ...(scopes && { Policy: policyOf(scopes) }),
  }
}

/** What is done with the keys has to be allowed by the role as well: this only ever takes away. */
function policyOf(scopes: readonly string[]): string {
  if (!scopes.every((scope) => ACTION.test(scope)))
    throw new ValetkeyError('invalid-request', 'this is no action of AWS', {
      hint: 'write s3:GetObject and the like',
    })
  const statement = { Effect: 'Allow', Action: scopes, Resource: '*' }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}
