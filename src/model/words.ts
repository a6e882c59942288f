import type * as said from '#client'
import type { Secret } from './secret.ts'

/** The hand in which the words are written inside the house. */
export interface Inside extends said.Hand {
  time: Date
  link: URL
  secret: Secret
}

export type Account = said.Account<Inside>
export type AccountEvent = said.AccountEvent<Inside>
export type Ask = said.Ask<Inside>
export type AuditEntry = said.AuditEntry<Inside>
export type AuditQuery = said.AuditQuery<Inside>
export type AuditVerdict = said.AuditVerdict<Inside>
export type Binding = said.Binding<Inside>
export type CallerReceipt = said.CallerReceipt<Inside>
export type BindRequest = said.BindRequest<Inside>
export type ConnectRequest = said.ConnectRequest<Inside>
export type Desk = said.Desk<Inside>
export type EndedLease = said.EndedLease<Inside>
export type FlowAnswer = said.FlowAnswer<Inside>
export type FlowSession = said.FlowSession<Inside>
export type FlowStep = said.FlowStep<Inside>
export type KeeperDesk = said.KeeperDesk<Inside>
export type Lease = said.Lease<Inside>
export type LendRequest = said.LendRequest<Inside>
export type Lent = said.Lent<Inside>
export type LivesOn = said.LivesOn<Inside>
export type Narrowed = said.Narrowed<Inside>
export type NarrowRequest = said.NarrowRequest<Inside>
export type Pending = said.Pending<Inside>
export type Receipt = said.Receipt<Inside>
export type Registered = said.Registered<Inside>
export type Registration = said.Registration<Inside>
export type RegisterRequest = said.RegisterRequest<Inside>
export type RekeyRequest = said.RekeyRequest<Inside>
export type ValetKey = said.ValetKey<Inside>
export type ValetkeyEvent = said.ValetkeyEvent<Inside>
export type VaultStatus = said.VaultStatus<Inside>
