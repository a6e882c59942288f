import type Provider from 'oidc-provider'
import type { Counts } from './counts.ts'
import type { Devices } from './devices.ts'
import type { Grants } from './grants.ts'
import type { Outage } from './outage.ts'

/** A client that is its own credential, with no person behind it. */
export interface Program {
  readonly clientId: string
  readonly clientSecret: string
}

/** What the pages and the endpoints of one practice provider share. */
export interface Stage {
  readonly origin: URL
  readonly provider: Provider
  readonly grants: Grants
  readonly counts: Counts
  readonly program: Program
  readonly devices: Devices
  readonly outage: Outage
  readonly now: () => Date
}
