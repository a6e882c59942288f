import type { Reaction } from './error.ts'

/**
 * The words of Valetkey, each declared once. They are written in one of two hands: as JSON, for
 * whoever speaks to a door; and, inside the house, with `Date`, `URL` and `Secret` in the places
 * where JSON has only strings.
 */
export interface Hand {
  time: unknown
  link: unknown
  secret: unknown
}

export interface AsJson extends Hand {
  time: string
  link: string
  secret: string
}

/** A way of signing in, by its flow and as a person knows it. */
export interface Way {
  readonly flow: string
  readonly label: string
}

/** A way that comes before the one that was taken, and cannot work here. */
export interface PassedOver extends Way {
  readonly why: string
  /** What would make it work: a command, or one sentence. */
  readonly hint: string | null
}

/** What may be asked for besides what a sign-in always asks for. */
export interface OptionalScope {
  readonly name: string
  readonly label: string
}

/** A way of signing in, as the card of its provider shows it. */
export interface WayIn extends Way {
  /** Names of the provider by which this way is meant. */
  readonly called: readonly string[]
  /** Asked for every time. */
  readonly scopes: readonly string[]
  readonly optionalScopes: readonly OptionalScope[]
  /** How the vendor stands to it, where that is to be known beforehand. */
  readonly notice: string | null
  /** Whether it is tried where nobody said which, only where it is asked for by its name, or not at all here. */
  readonly tried: 'by-itself' | 'by-name' | 'not-here'
}

/** What an account's standing with its provider is. */
export type AccountStatus = 'connected' | 'needs-reauth' | 'failing' | 'revoked'

/** `expiring`: the grant itself will die at a known time. `rotation-due`: it is as old as its owner lets it become. */
export type AccountWarning = 'expiring' | 'missing-scopes' | 'rotation-due'

/** An owner's standing with one provider, as it is shown: never a credential. */
export interface Account<H extends Hand = AsJson> {
  readonly id: string
  readonly providerId: string
  readonly userId: string
  readonly displayName: string
  readonly bucket: string
  readonly subject: string | null
  readonly scopes: readonly string[]
  readonly status: AccountStatus
  /** Why it is `needs-reauth` or `failing`, in words. */
  readonly reason: string | null
  readonly warnings: readonly AccountWarning[]
  /** What was asked for and not granted. */
  readonly missingScopes: readonly string[]
  /** A standing secret (API key, password) is only ever forwarded. */
  readonly forwardOnly: boolean
  /** By field: where its value is read each time it is used. Left out where all of it is kept here. */
  readonly references?: Readonly<Record<string, string>>
  readonly connectedAt: H['time']
  readonly tokenExpiresAt: H['time'] | null
  /** When the grant itself is over and it has to be connected again; null where that is not known. */
  readonly diesAt: H['time'] | null
  /** When another secret shall take the place of this one; null where its owner has not said so. */
  readonly rotateAt: H['time'] | null
  readonly lastUsedAt: H['time'] | null
}

export type FieldKind = 'text' | 'secret' | 'code' | 'choice' | 'confirm'

/** One thing a person is asked to fill in. */
export interface Field {
  readonly name: string
  readonly label: string
  readonly kind: FieldKind
  readonly hint?: string
  readonly choices?: readonly string[]
  readonly optional?: boolean
}

/** What a person is asked. A door sees this and nothing else; the list is closed. */
export type FlowStep<H extends Hand = AsJson> =
  | {
      readonly ask: 'visit'
      readonly url: H['link']
      readonly until: H['time']
      /** How often the broker looks whether it is done. */
      readonly everySeconds?: number
    }
  | {
      readonly ask: 'enter-code'
      readonly code: string
      readonly at: H['link']
      /** The same address with the code filled in, to be opened instead. */
      readonly whole?: H['link']
      /** Which program asks, on which computer: whoever was sent the code by somebody else sees that it is not theirs. */
      readonly device?: string
      readonly until: H['time']
      readonly everySeconds?: number
    }
  | {
      readonly ask: 'fill'
      readonly fields: readonly Field[]
      /** Why it is asked again: in words, and by the code that the refusal would have had. */
      readonly because?: string
      readonly code?: string
      /** Where the person finds what is asked. */
      readonly at?: H['link']
    }
  | { readonly ask: 'wait'; readonly for: string; readonly until: H['time'] }
  | { readonly ask: 'hand-over'; readonly because: string; readonly until: H['time'] }

/** What a door answers: the filled fields, or the address the browser came back to. */
export type FlowAnswer<H extends Hand = AsJson> =
  | { readonly fields: Readonly<Record<string, H['secret']>> }
  | { readonly callback: H['secret'] }

/** Why something ended badly, as it is kept and told later. */
export interface Failure {
  readonly code: string
  readonly detail: string
  readonly hint: string | null
  /** What is to be done about it. */
  readonly reaction: Reaction
}

export type FlowSessionState = 'asking' | 'done' | 'failed' | 'cancelled' | 'interrupted'

/** A sign-in under way, as a door sees it. */
export interface FlowSession<H extends Hand = AsJson> {
  readonly id: string
  readonly provider: string | null
  readonly bucket: string
  readonly flow: string
  readonly state: FlowSessionState
  readonly step: FlowStep<H> | null
  readonly account: Account<H> | null
  /** After a rotation: what became of the credential that was replaced. */
  readonly receipt: Receipt<H> | null
  readonly failure: Failure | null
  /** The ways before this one that cannot work here. */
  readonly passedOver: readonly PassedOver[]
  /** The next way, for whoever does not get on with this one. */
  readonly instead: Way | null
  /** What is to be known of this way beforehand: how its vendor stands to it. */
  readonly notice: string | null
  readonly expiresAt: H['time']
}

/** What a caller is let do with an account; `connect` lets it begin the sign-in that the owner then finishes. */
export type May = 'lend' | 'forward' | 'reveal' | 'connect'

/** What every use is held to besides its verb. Left out, nothing holds it there. */
export interface Limits {
  /** Requests such as `GET /repos/*`; a path alone is any method's. */
  readonly only?: readonly string[]
  /** At most so many uses in any so many seconds. */
  readonly rate?: { readonly uses: number; readonly seconds: number }
  /** So many uses in all, until it is given anew. */
  readonly budget?: number
  /** Only between these times of each day, such as `09:00` and `17:30`, by the clock of the broker. */
  readonly hours?: { readonly from: string; readonly to: string }
}

/** An account, connected or not, and what may be done with it. */
export interface Grant {
  readonly address: string
  readonly may: readonly May[]
  readonly limits?: Limits
}

/** Whether the owner is asked before a caller's use. */
export type Asks = 'never' | 'first-use' | 'always'

/** Which caller may use which account, how, until when. */
export interface Binding<H extends Hand = AsJson> {
  readonly id: string
  readonly caller: string
  readonly accountId: string
  readonly address: string
  readonly may: readonly May[]
  readonly asks: Asks
  readonly limits: Limits | null
  readonly createdAt: H['time']
  readonly until: H['time'] | null
}

export type LeaseVerb = 'lend' | 'forward' | 'reveal'

/** By what a lease is really over. */
export type LeaseEnd = 'expiry' | 'revocation' | 'forward' | 'ended'

/** One lending, on record. */
export interface Lease<H extends Hand = AsJson> {
  readonly id: string
  readonly accountId: string
  readonly address: string
  readonly caller: string
  readonly verb: LeaseVerb
  readonly openedAt: H['time']
  /** When what was lent is dead; null for what never dies by itself. */
  readonly until: H['time'] | null
  readonly endsBy: LeaseEnd
  readonly endedAt: H['time'] | null
  readonly lastUsedAt: H['time']
  readonly count: number
  /** What its caller said that it is for. */
  readonly purpose: string | null
  /** What may be done with what was lent, or by the requests that are forwarded. */
  readonly scopes: readonly string[]
  /** For whom or as whom what was lent was made; null where nobody was named. */
  readonly audience: string | null
  /** What it is good for alone; empty where it is not held to any. */
  readonly repositories: readonly string[]
}

/** What came of ending a lease: what was cut off, and what lives on all the same. */
export interface EndedLease<H extends Hand = AsJson> {
  readonly lease: Lease<H>
  readonly lines: readonly ReceiptLine[]
}

/** How often a caller made use of an account on one day. */
export interface Usage {
  readonly accountId: string
  readonly address: string
  readonly caller: string
  /** `2026-11-20`, by UTC. */
  readonly day: string
  readonly lends: number
  readonly forwards: number
  readonly reveals: number
}

/** What is handed out with a lease. `fields` has more than one entry where a credential has. */
export interface Lent<H extends Hand = AsJson> {
  readonly lease: Lease<H>
  readonly token: H['secret']
  readonly fields: Readonly<Record<string, H['secret']>>
  readonly tokenType: string
  readonly expiresAt: H['time'] | null
  readonly scopes: readonly string[]
}

/** `queued`: the provider could not be asked yet, and is asked again until it is done. */
export type Fate = 'died' | 'queued' | 'alive'

/** What became of one piece of a revoked credential. */
export interface ReceiptLine {
  readonly what: string
  readonly state: Fate
  readonly how: string
}

/** What was handed out already, and may be used until it dies by itself. */
export interface LivesOn<H extends Hand = AsJson> {
  readonly address: string
  readonly caller: string
  /** Null for what never dies by itself. */
  readonly until: H['time'] | null
}

/** What a revocation did: which pieces died, and which could not. */
export interface Receipt<H extends Hand = AsJson> {
  readonly accountId: string
  readonly address: string
  readonly at: H['time']
  readonly lines: readonly ReceiptLine[]
  /** Nothing, where the provider has ended all of it. */
  readonly livesOn: readonly LivesOn<H>[]
  readonly leasesEnded: number
  readonly bindingsEnded: number
}

/** What a caller lost: all that it could use. */
export interface CallerReceipt<H extends Hand = AsJson> {
  readonly caller: string
  readonly at: H['time']
  readonly livesOn: readonly LivesOn<H>[]
  readonly leasesEnded: number
  readonly bindingsEnded: number
}

/** What a provider has still to be told: that something which was issued here shall be ended there. */
export interface Pending<H extends Hand = AsJson> {
  readonly id: string
  readonly accountId: string
  readonly address: string
  readonly since: H['time']
  readonly tries: number
  readonly nextTryAt: H['time']
  /** Then it is given up. */
  readonly until: H['time']
  /** Why it could not be told the last time, in words. */
  readonly reason: string | null
}

/** What it takes to make a client of one's own at a provider. */
export interface OwnClient {
  /** The way of signing in that has a use for it. */
  readonly flow: string
  /** To be copied there; `{name}` stands for the value of what is asked under this name. */
  readonly redirectUri: string
  readonly scopes: readonly string[]
  /** The page of the provider on which it is made. */
  readonly console: string | null
  readonly minutes: number | null
  readonly note: string | null
  /** What tells the server, where the provider may be any. */
  readonly asks: readonly Field[]
}

/** In which variables of their environment programs usually look for an account of a provider. */
export interface Programs {
  /** For a token that they hold. */
  readonly token: readonly string[]
  /** By the field's name, where a credential has several. */
  readonly fields: Readonly<Record<string, readonly string[]>>
  /** For where their requests go instead of to the provider; the path follows there. */
  readonly baseUrl: { readonly variables: readonly string[]; readonly path: string } | null
  /** For what they show there. */
  readonly key: readonly string[]
}

/** A provider as a list shows it. */
export interface ProviderCard {
  readonly id: string
  readonly name: string
  readonly category: string
  /** Other names by which it is found. */
  readonly aliases: readonly string[]
  readonly flows: readonly string[]
  /** The same, in the order in which they are tried. */
  readonly ways: readonly WayIn[]
  readonly hosts: readonly string[]
  /** What has to be there before it can be connected: nothing, or a client of one's own. */
  readonly needs: 'nothing' | 'own-client'
  /** How a client of one's own is made; null where no sign-in has a use for one. */
  readonly ownClient: OwnClient | null
  /** Null where no program is known to look for it. */
  readonly programs: Programs | null
  /** `built-in`, or `yours` where it was read from the owner's own folder. */
  readonly from: 'built-in' | 'yours'
}

export type AuditVerb =
  | 'connect'
  | 'lend'
  | 'forward'
  | 'reveal'
  | 'refresh'
  | 'rotate'
  | 'revoke'
  | 'revoke-everything'
  | 'bind'
  | 'unbind'
  | 'narrow'
  | 'end-key'
  | 'ask'
  | 'decide'
  | 'add-provider'
  | 'register'
  | 'unregister'
  | 'end-lease'
  | 'unlock'
  | 'lock'
  | 'rekey'
  | 'erase-owner'
  | 'export'
  | 'import'
  | 'accept-restore'
  | 'prune-audit'
  | 'read-audit'
  | 'verify-audit'

/** `opened` stands alone only when the process died before the outcome was known. */
export type AuditOutcome = 'opened' | 'done' | 'failed' | 'refused'

/** One line of the record. */
export interface AuditEntry<H extends Hand = AsJson> {
  readonly seq: number
  readonly at: H['time']
  readonly owner: string
  readonly caller: string
  /** How the door proved the caller: door, uid, process. */
  readonly proof: string
  readonly verb: AuditVerb
  readonly target: string
  readonly outcome: AuditOutcome
  /** The seq of the entry that opened what this one closes. */
  readonly opened?: number
  readonly code?: string
  readonly detail?: string
}

/** What `audit verify` found. */
export interface AuditVerdict<H extends Hand = AsJson> {
  readonly ok: boolean
  readonly entries: number
  readonly head: number
  readonly checkedAt: H['time']
  readonly problems: readonly string[]
}

export type KeySourceKind = 'passphrase' | 'file' | 'environment' | 'command'

export interface VaultStatus<H extends Hand = AsJson> {
  readonly id: string
  readonly locked: boolean
  readonly keySource: KeySourceKind
  readonly engine: string
  readonly home: string
  /** Where the owner's door is, for programs in any language. */
  readonly socket: string
  readonly pid: number
  readonly version: string
  readonly startedAt: H['time']
  /** An older copy of the vault was put back; see `valetkey vault accept-restore`. */
  readonly restored: boolean
  readonly accounts: number | null
}

/** `kept`: it is connected here already, and stays as it is. */
export type ImportOutcome = 'imported' | 'replaced' | 'kept' | 'refused'

/** What became of one account of an export. */
export interface Imported {
  readonly address: string
  readonly outcome: ImportOutcome
  /** Why it was kept or refused, or what else is to be known of it. */
  readonly why: string | null
  /** It is renewed by what is good in one place only: whoever else goes on with it ends it here. */
  readonly renews: boolean
}

/** An error as JSON, RFC 9457 with Valetkey's own `code` and `hint`, and what a program does about it. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly hint?: string
  readonly reaction: Reaction
  readonly retryable: boolean
  /** Another way to sign in, where that is what failed. */
  readonly instead?: Way
  /** Seconds to wait first, where that is known. */
  readonly retryAfter?: number
}

export type EventName = 'connected' | 'needs-reauth' | 'expiring' | 'rotation-due' | 'revoked' | 'failing'

/** A change of an account's state. */
export interface AccountEvent<H extends Hand = AsJson> {
  readonly id: string
  readonly name: EventName
  readonly at: H['time']
  readonly account: Account<H>
}

/** Somebody asks, or was answered. */
export interface AskEvent<H extends Hand = AsJson> {
  readonly id: string
  readonly name: 'asked' | 'decided'
  readonly at: H['time']
  readonly ask: Ask<H>
}

export type ValetkeyEvent<H extends Hand = AsJson> = AccountEvent<H> | AskEvent<H>

/** Which program stands behind a caller, as far as it is known. */
export interface Who {
  /** The door it came by. */
  readonly door: string
  readonly executable: string | null
  /** The programs that started it, its parent first. */
  readonly chain: readonly string[]
  readonly uid: number | null
  readonly pid: number | null
}

/** `ten-minutes` and `always` say for how long; `once` is good for the next use alone. */
export type Decision = 'once' | 'ten-minutes' | 'always' | 'no'

/** A caller's wish to use an account, until the owner has decided it. */
export interface Ask<H extends Hand = AsJson> {
  readonly id: string
  readonly caller: string
  readonly who: Who
  readonly address: string
  readonly may: readonly May[]
  /** What it is for, in the caller's own words. */
  readonly reason: string
  /** `lapsed`: nobody decided it in time. */
  readonly state: 'pending' | 'allowed' | 'refused' | 'lapsed'
  readonly decision: Decision | null
  readonly askedAt: H['time']
  /** Then it lapses, or what was allowed is over; null for what was allowed for good. */
  readonly until: H['time'] | null
}

/** A caller made smaller than the one who made it, by what it shows: a key, or a socket of its own. */
export interface ValetKey<H extends Hand = AsJson> {
  /** The caller's id, such as `key:x` or `socket:x`. */
  readonly id: string
  readonly kind: 'key' | 'socket'
  readonly name: string
  /** The caller that made it. It never may more than this one, and ends with it. */
  readonly parent: string
  readonly grants: readonly Grant[]
  /** Where its socket is; null for a key, which is shown once, when it is cut. */
  readonly socket: string | null
  /** A key that is of use only to whoever holds the private key of this RFC 7638 thumbprint. */
  readonly thumbprint: string | null
  readonly createdAt: H['time']
  readonly until: H['time'] | null
}

/** A key as it is shown once. */
export interface Narrowed<H extends Hand = AsJson> {
  readonly key: ValetKey<H>
  /** Null for a socket: being able to reach it is all there is. */
  readonly secret: H['secret'] | null
}

/** Our client at one issuer, and how it came to be. */
export interface Registration<H extends Hand = AsJson> {
  readonly id: string
  readonly provider: string
  readonly issuer: string
  readonly clientId: string
  readonly how: 'none' | 'metadata-document' | 'dynamic' | 'shipped' | 'yours'
  readonly createdAt: H['time']
  /** Why the provider does not accept it any more: none of its accounts can be renewed until it is made anew. */
  readonly trouble: string | null
}

/** A registration that was just made. */
export interface Registered<H extends Hand = AsJson> extends Registration<H> {
  /** The provider said that it knows this client. Where it could not be asked, the first sign-in shows. */
  readonly checked: boolean
}
