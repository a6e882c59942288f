import { pipeline, Transform, type Writable } from 'node:stream'
import { ValetkeyError } from '#client'
import { type Caller, isOwner } from '../../model/caller.ts'
import type { Passage } from '../../model/gate.ts'
import type { AnswerHead } from '../../model/network.ts'
import { isStanding, type Whole } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { knownProvider, signInOf } from '../sign-ins/sign-ins.ts'
import { codingsOf, decodersFor, isOfPacking } from './decoding.ts'
import { type Scrubber, scrubber, starredTexts } from './scrub.ts'
import { spellingsOf } from './spellings.ts'

const TEXT = new RegExp(
  [
    '^(text|multipart|message)/',
    '^[a-z]+/([^;,]*[.+-])?(json|xml|html|yaml|ndjson|jsonl|x?javascript|ecmascript|jwt|csv|toml|text)([^a-z]|$)',
    '^application/(x-)?(x-www-form-urlencoded|graphql|sql|rtf)([^a-z]|$)',
  ].join('|'),
)
const A_PART = 206

/** What a caller may not see of an answer, although the provider says it. */
export interface Blinds {
  readonly secrets: readonly Buffer[]
  head(head: AnswerHead): AnswerHead
  scrub(): Scrubber
}

/**
 * Whoever may not be handed a credential does not find it in an answer either; a standing one is nobody's to
 * find there. This is for providers that repeat what they were sent, not against one that wants to be
 * understood: what is packed into something else passes, and so does all that is no text.
 */
export function mayNotSee(
  caller: Caller,
  { may, binding, limits = [] }: Passage,
  { credential }: Whole,
): boolean {
  // Whoever is held to certain requests is lent nothing, whatever else is given.
  const isHeld = limits.some((held) => held.limits.only !== undefined)
  const given = isHeld ? [] : (may ?? binding?.may ?? [])
  return isStanding(credential) || !(isOwner(caller) || given.includes('lend') || given.includes('reveal'))
}

export function blinds(kit: Kit, wholes: readonly Whole[]): Blinds {
  const secrets = wholes.flatMap((whole) => secretsOf(kit, whole))
  const named = secrets.map(smallLetters)
  const isNamedSo = (name: string) => named.some((secret) => name.includes(secret))
  return {
    secrets,
    head({ status, headers: all }) {
      // The name of a header is told in small letters, and with nothing in the place of what is taken out.
      const headers = all.some(([name]) => isNamedSo(name)) ? all.filter(([name]) => !isNamedSo(name)) : all
      const said = headers.map(([, value]) => value)
      const clean = starredTexts(said, secrets)
      if (clean === said) return { status, headers }
      return { status, headers: headers.map(([name], at) => [name, clean[at] ?? ''] as const) }
    },
    scrub: () => scrubber(secrets),
  }
}

const small = new WeakMap<Buffer, string>()

function smallLetters(secret: Buffer): string {
  const letters = small.get(secret) ?? secret.toString('latin1').toLowerCase()
  small.set(secret, letters)
  return letters
}

const known = new WeakMap<Whole['credential']['worn'], readonly Buffer[]>()

function secretsOf(kit: Kit, { account, profile, credential: { worn } }: Whole): readonly Buffer[] {
  const before = known.get(worn)
  if (before !== undefined) return before
  const { fields } = signInOf(kit, knownProvider(kit, account, profile), account.flow)
  const open = new Set(fields.flatMap(({ name, secret }) => (secret ? [] : name)))
  const shut = Object.entries(worn).filter(([name]) => !open.has(name))
  const spellings = spellingsOf(shut.map(([, secret]) => secret.reveal()))
  known.set(worn, spellings)
  return spellings
}

/** Where a packed body has to be written, to come to its target unpacked. */
export function unpacking(head: AnswerHead, target: Writable, scrub?: Scrubber): Writable {
  const scrubbing = scrub && [
    new Transform({
      transform: (piece: Buffer, _, done) => done(null, scrub.feed(piece)),
      flush: (done) => done(null, scrub.end()),
    }),
  ]
  const [first = target, ...others] = [...(decodersFor(codingsOf(head)) ?? []), ...(scrubbing ?? [])]
  if (first !== target) pipeline([first, ...others, target], () => {})
  return first
}

/** Of what has no type it is not known that it is no text. */
export function isText({ headers }: AnswerHead): boolean {
  const said = headers.flatMap(([name, value]) => (name === 'content-type' ? value.split(',') : []))
  const types = said.map((type) => type.trim().toLowerCase())
  return types.length === 0 || types.some((type) => type === '' || TEXT.test(type))
}

/** What of a text can be judged; a piece of a secret is not to be told from anything else. */
export function refuseUnreadable(head: AnswerHead): void {
  if (head.status === A_PART)
    throw new ValetkeyError(
      'bad-answer',
      'the provider answered with a part of a text, which is not passed on',
      {
        hint: 'ask for it without the header Range',
      },
    )
  if (decodersFor(codingsOf(head)) === undefined)
    throw new ValetkeyError('bad-answer', 'the provider packed its answer in a way that is not known here')
}

/** The head of an answer whose body is unpacked on its way. */
export function unpacked(head: AnswerHead): AnswerHead {
  if (codingsOf(head).length === 0) return head
  return { ...head, headers: head.headers.filter((header) => !isOfPacking(header)) }
}
