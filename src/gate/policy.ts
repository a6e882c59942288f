import { type AuditVerb, type ErrorCode, formatAddress, type May, parseAddress } from '#client'
import { type Caller, type CallerId, isOwner, programOf } from '../model/caller.ts'
import { type Standing, type Target, VERBS_OF_A_BINDING } from '../model/gate.ts'
import type { AccountRow } from '../model/storage.ts'
import type { Binding } from '../model/words.ts'

export interface Refusal {
  readonly allowed: false
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
}

export type Verdict = { readonly allowed: true } | Refusal

/** One question to the policy, and all that the answer depends on. */
interface Question {
  readonly caller: Caller
  readonly verb: AuditVerb
  readonly target: Target
  readonly account: AccountRow | undefined
  readonly binding: Binding | undefined
  readonly standing: Standing
  readonly may: readonly May[]
  /** Of the named key, who made it. */
  readonly line: readonly CallerId[]
}

const ALLOWED: Verdict = { allowed: true }

/** Where these are about an account, it must be there. */
const NEEDS_ACCOUNT: readonly AuditVerb[] = ['rotate', 'revoke', 'refresh', 'bind']

/**
 * What takes everything away or lets it all out at once, and the command that does it. A page is let in by
 * a cookie, which says nothing of who holds it; here the kernel has to say so.
 */
const AT_THE_TERMINAL: { readonly [V in AuditVerb]?: string } = {
  'revoke-everything': 'valetkey vault revoke-everything',
  export: 'valetkey vault export --to <file>',
  import: 'valetkey vault import <file>',
  rekey: 'valetkey vault rekey --to <source>',
  'erase-owner': 'valetkey vault erase me',
  'accept-restore': 'valetkey vault accept-restore',
  'prune-audit': 'valetkey audit prune --before <time>',
}

const LONGEST_ADDRESS = 130

/**
 * May this caller do this, here and now? Nothing is looked up and nothing is remembered. Whoever
 * has no live binding hears the same words whether the account exists or not.
 */
export function judge(
  caller: Caller,
  verb: AuditVerb,
  target: Target,
  standing: Standing,
  now: Date,
): Verdict {
  const account = present(caller, standing.account)
  const binding = account && live(caller, account, standing.binding, now)
  const { may = [], line = [] } = standing
  const question = { caller, verb, target, account, binding, standing, may, line }
  if (verb === 'ask') return isOwner(caller) ? nobodyToAsk(target) : ALLOWED
  if (isUse(verb)) return judgeUse(question, verb)
  return isOwner(caller) ? judgeOwner(question) : judgeOther(question)
}

/** Why the owner may not do this from where they are; the rest is not judged here. */
export function fromElsewhere({ proof }: Caller, verb: AuditVerb): Refusal | undefined {
  const hint = AT_THE_TERMINAL[verb]
  if (hint === undefined || proof.uid !== undefined) return undefined
  return refuse('not-allowed', `${wordsOf(verb)} is done at the terminal only`, hint)
}

/** The address as it was asked for, fit to be printed and to be kept. */
export function asAsked({ address, name }: Target): string {
  const parsed = address === undefined ? undefined : parseAddress(address)
  if (parsed !== undefined) return formatAddress(parsed)
  return (address ?? name ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_ADDRESS)
}

function judgeUse(question: Question, verb: May): Verdict {
  const { caller, account, binding, target } = question
  if (account === undefined || (binding === undefined && !isOwner(caller)))
    return notConnected(caller, target)
  if (verb === 'lend' && account.standing !== 0) return forwardOnly(target)
  const free = isOwner(caller) && verb !== 'reveal'
  if (!free && !binding?.may.includes(verb)) return notGiven(question, verb)
  if (binding !== undefined && isToBeAsked(question, binding)) return askNeeded(question, binding)
  return account.status === 'needs-reauth' ? needsReauth(target, account) : ALLOWED
}

/** The owner is not asked about what they do themselves. */
function isToBeAsked({ caller, verb, standing }: Question, { asks }: Binding): boolean {
  const { programs = [], unasked = [] } = standing
  if (isOwner(caller) || asks === 'never' || unasked.some((one) => one === verb)) return false
  return asks === 'always' || !programs.includes(programOf(caller))
}

function judgeOwner({ caller, verb, target, account }: Question): Verdict {
  const elsewhere = fromElsewhere(caller, verb)
  if (elsewhere !== undefined) return elsewhere
  const missing = target.address !== undefined && account === undefined
  return missing && NEEDS_ACCOUNT.includes(verb) ? notConnected(caller, target) : ALLOWED
}

function judgeOther({ caller, verb, target, binding, may, line }: Question): Verdict {
  // Nobody gives what they do not have; what that is is looked at where it is written down.
  if (verb === 'narrow') return ALLOWED
  if (verb === 'end-key') return line.includes(caller.id) ? ALLOWED : noSuchKey()
  if (verb === 'connect' && may.includes('connect')) return ALLOWED
  if (target.address !== undefined && binding === undefined) return notConnected(caller, target)
  return refuse('not-allowed', `only the owner may ${wordsOf(verb)}`, 'ask the owner to do it')
}

function wordsOf(verb: AuditVerb): string {
  return verb.replaceAll('-', ' ')
}

function present(caller: Caller, account: AccountRow | undefined): AccountRow | undefined {
  return account?.owner === caller.owner && account.status !== 'revoked' ? account : undefined
}

function live(caller: Caller, account: AccountRow, binding: Binding | undefined, now: Date) {
  if (binding?.caller !== caller.id || binding.accountId !== account.id) return undefined
  return binding.until === null || binding.until > now ? binding : undefined
}

export function isUse(verb: AuditVerb): verb is May {
  return VERBS_OF_A_BINDING.some((use) => use === verb)
}

function refuse(code: ErrorCode, message: string, hint: string): Refusal {
  return { allowed: false, code, message, hint }
}

/** The same words for what is not there and for what is not for this caller; whoever is not the owner may ask. */
function notConnected(caller: Caller, target: Target): Refusal {
  const address = asAsked(target)
  const isAddress = parseAddress(target.address ?? '') !== undefined
  const next = isOwner(caller) ? `valetkey connect ${address}` : `valetkey ask ${address} --reason …`
  const hint = isAddress ? next : 'valetkey providers'
  return refuse('not-connected', `no account at ${address} for you`, hint)
}

/** Whether it never was, has ended, or was made by somebody else. */
function noSuchKey(): Refusal {
  return refuse('not-found', 'there is no such key', 'valetkey keys')
}

function forwardOnly(target: Target): Refusal {
  const address = asAsked(target)
  return refuse(
    'forward-only',
    `the key of ${address} never dies by itself, so it is not handed out`,
    `valetkey forward ${address} GET /… (or valetkey reveal ${address})`,
  )
}

function notGiven({ caller, target, binding }: Question, verb: May): Refusal {
  const address = asAsked(target)
  const message = `${caller.id} may not ${verb} ${address}`
  const hint = isOwner(caller)
    ? `valetkey bind me ${address} --may reveal --until 10m`
    : `valetkey bind ${caller.id} ${address} --may ${[...(binding?.may ?? []), verb].join(',')}`
  return refuse('not-allowed', message, hint)
}

function nobodyToAsk(target: Target): Refusal {
  const hint = `valetkey bind me ${asAsked(target)} --may reveal --until 10m`
  return refuse('invalid-request', 'the owner has nobody to ask', hint)
}

function askNeeded({ caller, target }: Question, { may }: Binding): Refusal {
  const address = asAsked(target)
  return refuse(
    'ask-needed',
    `the owner wants to be asked before ${caller.id} uses ${address}`,
    `valetkey bind ${caller.id} ${address} --may ${may.join(',')} --asks never`,
  )
}

function needsReauth(target: Target, { reason }: AccountRow): Refusal {
  const address = asAsked(target)
  const why = reason === null ? '' : `: ${reason}`
  return refuse(
    'needs-reauth',
    `the account at ${address} has to be connected again${why}`,
    `valetkey reconnect ${address}`,
  )
}
