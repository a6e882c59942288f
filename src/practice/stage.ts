import type Provider from 'oidc-provider'
import type { Counts } from './counts.ts'
import type { Grants } from './grants.ts'
import type { Outage } from './outage.ts'

/** What the pages and the endpoints of one practice provider share. */
export interface Stage {
  readonly origin: URL
  readonly provider: Provider
  readonly grants: Grants
  readonly counts: Counts
  readonly outage: Outage
  readonly now: () => Date
}
