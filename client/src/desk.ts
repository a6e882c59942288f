import type {
  Account,
  AsJson,
  Ask,
  Asks,
  AuditEntry,
  AuditVerb,
  AuditVerdict,
  Binding,
  CallerReceipt,
  Decision,
  EndedLease,
  FlowAnswer,
  FlowSession,
  Grant,
  Hand,
  Imported,
  KeySourceKind,
  Lease,
  Lent,
  Limits,
  May,
  Narrowed,
  Pending,
  ProviderCard,
  Receipt,
  ReceiptLine,
  Registered,
  Registration,
  Usage,
  ValetKey,
  ValetkeyEvent,
  VaultStatus,
} from './words.ts'

export interface ConnectRequest<H extends Hand = AsJson> {
  /** Left out where a pasted key shall name its provider. An MCP server may be named by its address. */
  readonly provider?: string
  /** What a provider that is named by its address shall be called. */
  readonly as?: string
  readonly bucket?: string
  readonly flow?: string
  /** What the provider's hosts need, such as a site or a resource name. */
  readonly vars?: Readonly<Record<string, string>>
  /** Fields known beforehand, so that nobody is asked for them. */
  readonly fields?: Readonly<Record<string, H['secret']>>
  /** Keep a key that could not be proved by a live check. */
  readonly insist?: boolean
  /** What shall be asked for besides what the sign-in always asks for. */
  readonly scopes?: readonly string[]
  /** Nobody is there whose browser could be sent away, so another way comes first. */
  readonly noBrowser?: boolean
  /** A key is at hand and is answered where it is asked for, so a way that asks for one comes first. */
  readonly bringsKey?: boolean
}

export interface LendRequest<H extends Hand = AsJson> {
  readonly address: string
  /** How many seconds what is lent must still live. */
  readonly minValidity?: number
  /** What it is for, in printable ASCII of at most 200 characters. */
  readonly purpose?: string
  /** The token that was lent before, where the provider refused it: another one is lent, renewed if need be. */
  readonly refused?: H['secret']
  /** Less than the account may do, where its provider can give less; a wish that it cannot fulfil is refused. */
  readonly scopes?: readonly string[]
  /** For whom or as whom, such as the ARN of a role or the e-mail address of a service account. */
  readonly audience?: string
  /** Good for these and no others. */
  readonly repositories?: readonly string[]
}

export interface BindRequest<H extends Hand = AsJson> {
  readonly caller: string
  readonly address: string
  readonly may: readonly May[]
  readonly asks?: Asks
  readonly limits?: Limits
  readonly until?: H['time']
}

export interface NarrowRequest<H extends Hand = AsJson> {
  readonly kind: 'key' | 'socket'
  /** What it is called where it is listed. */
  readonly name?: string
  readonly grants: readonly Grant[]
  readonly until?: H['time']
  /** For a socket: the users who may reach it; whoever asks alone, where nobody is named. */
  readonly uids?: readonly number[]
  /** It ends when the process that asks for it does, however suddenly. */
  readonly endsWithMe?: boolean
  /** For a key: the RFC 7638 thumbprint of the key that every use has to prove possession of (DPoP). */
  readonly thumbprint?: string
}

export interface AskRequest {
  readonly address: string
  readonly may: readonly May[]
  /** What it is for, in printable ASCII of at most 200 characters. */
  readonly reason: string
}

export interface RegisterRequest<H extends Hand = AsJson> {
  readonly provider: string
  readonly clientId: string
  /** Left out for a public client. */
  readonly clientSecret?: H['secret']
  /** In the place of a secret: what it signs with, or the key of its certificate. */
  readonly privateKey?: H['secret']
  /** As PEM. */
  readonly certificate?: string
  /** What tells the server, where the provider may be any. */
  readonly vars?: Readonly<Record<string, string>>
  /** Keep it although the provider says that it does not know it. */
  readonly insist?: boolean
  /** Where it signs in, where that is not where the provider's file says. */
  readonly endpoints?: { readonly authorize: H['link']; readonly token: H['link'] }
}

export interface UnregisterRequest {
  /** Although there are accounts that cannot be renewed without it. */
  readonly insist?: boolean
}

export interface ForwardRequest {
  readonly address: string
  readonly method: string
  /** A path with its query, or a whole URL at one of the provider's hosts. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: ReadableStream<Uint8Array> | Uint8Array | string | null
  readonly signal?: AbortSignal
  /** What it is for, in printable ASCII of at most 200 characters. The provider does not hear of it. */
  readonly purpose?: string
  /** Of what the provider says the credential is taken out, also for a caller who could be lent it. */
  readonly blind?: true
}

export interface ForwardAnswer {
  readonly status: number
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: ReadableStream<Uint8Array> | null
}

export interface AuditQuery<H extends Hand = AsJson> {
  readonly verb?: AuditVerb
  readonly caller?: string
  readonly since?: H['time']
  readonly limit?: number
}

export interface UsageQuery {
  readonly address?: string
  readonly caller?: string
  /** How many days back, today included; 30 unless told. */
  readonly days?: number
}

export interface LeaseQuery {
  /** Those that ended within the last day, instead of those that live. */
  readonly ended?: boolean
}

export interface EventQuery {
  /** The id of the last event seen; what came after it is told first. */
  readonly after?: string
  readonly signal?: AbortSignal
}

/** The verbs, as one caller may use them. */
export interface Desk<H extends Hand = AsJson> {
  providers(): Promise<readonly ProviderCard[]>
  connect(request: ConnectRequest<H>): Promise<FlowSession<H>>
  reconnect(address: string, request?: ConnectRequest<H>): Promise<FlowSession<H>>
  rotate(address: string, request?: ConnectRequest<H>): Promise<FlowSession<H>>
  /** This caller's sign-ins under way, at whichever door they were begun; the latest first. */
  flows(): Promise<readonly FlowSession<H>[]>
  flow(id: string): Promise<FlowSession<H>>
  answer(id: string, answer: FlowAnswer<H>): Promise<FlowSession<H>>
  cancel(id: string): Promise<FlowSession<H>>
  accounts(): Promise<readonly Account<H>[]>
  /** Renews the account's credential now, whatever life it has left. */
  refresh(address: string): Promise<Account<H>>
  lend(request: LendRequest<H>): Promise<Lent<H>>
  reveal(request: LendRequest<H>): Promise<Lent<H>>
  forward(request: ForwardRequest): Promise<ForwardAnswer>
  /** How many days old its secret may become; null for as old as may be. */
  rotateEvery(address: string, days: number | null): Promise<Account<H>>
  revoke(address: string): Promise<Receipt<H>>
  /** Ends all that a caller may use, at once. The accounts stay. */
  revokeCaller(caller: string): Promise<CallerReceipt<H>>
  /** Ends all of the owner's accounts. */
  revokeAll(): Promise<readonly Receipt<H>[]>
  /** What providers have still to be told. */
  outbox(): Promise<readonly Pending<H>[]>
  bind(request: BindRequest<H>): Promise<Binding<H>>
  unbind(id: string): Promise<void>
  bindings(): Promise<readonly Binding<H>[]>
  /** Makes a caller that may less than this one, of what this one may. */
  narrow(request: NarrowRequest<H>): Promise<Narrowed<H>>
  /** The owner sees every one that lives, anybody else those it made, and theirs. */
  keys(): Promise<readonly ValetKey<H>[]>
  /** Ends it, and all that were made by it. */
  endKey(id: string): Promise<void>
  /** Asks the owner. The same wish of the same program is one ask, however often it is said. */
  ask(request: AskRequest): Promise<Ask<H>>
  /** The owner sees everybody's, the latest first; anybody else their own. */
  asks(): Promise<readonly Ask<H>[]>
  /** One of these; with `waitSeconds`, as soon as it is decided, or after so long. */
  asked(id: string, waitSeconds?: number): Promise<Ask<H>>
  decide(id: string, decision: Decision): Promise<Ask<H>>
  register(request: RegisterRequest<H>): Promise<Registered<H>>
  /** Says what became of the client at its provider. */
  unregister(id: string, request?: UnregisterRequest): Promise<ReceiptLine>
  registrations(): Promise<readonly Registration<H>[]>
  leases(query?: LeaseQuery): Promise<readonly Lease<H>[]>
  /** Cuts off what goes through Valetkey at once, and says what lives on all the same. */
  endLease(id: string): Promise<EndedLease<H>>
  /** How often which account was used, by whom, on which day; the latest day first. */
  usage(query?: UsageQuery): Promise<readonly Usage[]>
  audit(query?: AuditQuery<H>): Promise<readonly AuditEntry<H>[]>
  events(query?: EventQuery): AsyncIterable<ValetkeyEvent<H>>
}

export interface RekeyRequest<H extends Hand = AsJson> {
  readonly source: KeySourceKind
  readonly passphrase?: H['secret']
  readonly command?: string
}

export interface ImportOptions {
  /** What is imported takes the place of what is connected here at the same address. */
  readonly replace?: boolean
}

/** What only the keeper of the vault does. */
export interface KeeperDesk<H extends Hand = AsJson> {
  status(): Promise<VaultStatus<H>>
  lock(): Promise<VaultStatus<H>>
  unlock(passphrase?: H['secret']): Promise<VaultStatus<H>>
  rekey(request: RekeyRequest<H>): Promise<VaultStatus<H>>
  /** Ends every account of everybody, or of one owner where one is named. */
  revokeEverything(owner?: string): Promise<readonly Receipt<H>[]>
  /**
   * Ends their accounts, and destroys the owner's data key: everything of theirs is unreadable from then on,
   * so what their providers could not be told by then stays alive there.
   */
  eraseOwner(owner: string): Promise<readonly Receipt<H>[]>
  acceptRestore(): Promise<VaultStatus<H>>
  /** The vault's accounts as one sealed document under a passphrase of its own. */
  export(passphrase: H['secret']): Promise<string>
  /** All of the document is read, or nothing; then every account of it is judged by itself. */
  import(document: string, passphrase: H['secret'], options?: ImportOptions): Promise<readonly Imported[]>
  verifyAudit(): Promise<AuditVerdict<H>>
  /** Forgets entries before a time; what remains still verifies. */
  pruneAudit(before: H['time']): Promise<AuditVerdict<H>>
}
