import type { Credential } from '../../model/credential.ts'
import type { SignIn } from '../../model/provider.ts'
import { isReference, type Read } from '../../model/references.ts'
import { Secret } from '../../model/secret.ts'
import type { FlowSessionRow } from '../../model/storage.ts'
import type { FlowAnswer } from '../../model/words.ts'
import { isStanding } from '../grants.ts'
import type { Kit } from '../kit.ts'
import { mayRefer } from '../references.ts'
import { endOf } from '../referred.ts'
import type { Known } from './sessions.ts'

type Texts = Readonly<Record<string, string>>

/**
 * What the owner gave as references in one sign-in. A flow sees the values alone, and what is written down
 * of it, its memory and its yield, holds the references alone.
 */
export interface Referring {
  /** By field, as they were given. */
  readonly references: Texts
  known(fields: Texts): Texts
  answer(given: FlowAnswer | undefined): FlowAnswer | undefined
  toFlow(memory: Secret): Secret
  fromFlow(memory: Secret): Secret
  sealed(credential: Credential): Credential
}

/** Only for what a person is asked by this sign-in, and only where it was the owner who said so. */
export async function referring(
  kit: Kit,
  session: FlowSessionRow,
  { fields: asked }: Pick<SignIn, 'fields'>,
  { fields, references: before }: Pick<Known, 'fields' | 'references'>,
  given: FlowAnswer | undefined,
): Promise<Referring> {
  const answered = given !== undefined && 'fields' in given ? given.fields : {}
  const references: Record<string, string> = {}
  for (const { name } of mayRefer({ id: session.caller, owner: session.owner }) ? asked : []) {
    const now = own(answered, name)?.reveal().trim()
    const text = now || own(before ?? fields, name)?.trim()
    if (text !== undefined && isReference(text)) references[name] = text
  }
  const read = new Map<string, Read>()
  for (const [name, text] of Object.entries(references))
    read.set(name, trimmed(await kit.readings.read(session.owner, text)))
  return over(references, read)
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** As a value that was pasted: without the blanks and line ends around it. */
function trimmed(read: Read): Read {
  return { ...read, value: new Secret(read.value.reveal().trim()) }
}

function over(references: Texts, read: ReadonlyMap<string, Read>): Referring {
  const names = Object.keys(references)
  const values = new Map(names.map((name) => [name, read.get(name)?.value.reveal() ?? '']))
  const byText = new Map(names.map((name) => [references[name] ?? '', values.get(name) ?? '']))
  if (names.length === 0) return NOTHING

  /** The field whose value this is: by its own name first, and whatever it is called otherwise. */
  function fieldOf(name: string, value: string): string | undefined {
    if (values.get(name) === value) return name
    return names.find((one) => values.get(one) === value)
  }
  const filled = (name: string, text: string) =>
    (text === references[name] ? values.get(name) : undefined) ?? text
  const textFor = (name: string, value: string) => references[fieldOf(name, value) ?? ''] ?? value

  function sealed(credential: Credential): Credential {
    const found: Record<string, string> = {}
    const put = (fields: Credential['worn']) =>
      Object.fromEntries(
        Object.entries(fields).map(([name, secret]) => {
          const of = values.has(name) ? name : fieldOf(name, secret.reveal())
          const text = of === undefined ? undefined : references[of]
          if (text === undefined) return [name, secret]
          found[name] = text
          return [name, new Secret(text)]
        }),
      )
    const kept = { ...credential, worn: put(credential.worn), kept: put(credential.kept) }
    if (Object.keys(found).length === 0) return kept
    const isWorn = Object.keys(found).some((name) => Object.hasOwn(kept.worn, name))
    const readBy = new Map(Object.entries(found).flatMap(([name, text]) => readOf(name, text)))
    const standing = isWorn ? endOf(kept, readBy).standing : isStanding(credential)
    return { ...kept, references: found, standing, ...(isWorn && { expiresAt: null }) }
  }

  function readOf(name: string, text: string): [string, Read][] {
    const of = names.find((one) => references[one] === text)
    const one = of === undefined ? undefined : read.get(of)
    return one === undefined ? [] : [[name, one]]
  }

  return {
    references,
    known: (fields) => mapped(fields, filled),
    answer(given) {
      if (given === undefined || !('fields' in given)) return given
      const entries = Object.entries(given.fields).map(
        ([name, secret]) => [name, new Secret(filled(name, secret.reveal().trim()))] as const,
      )
      return { fields: Object.fromEntries(entries) }
    },
    toFlow: (memory) => inMemory(memory, (_, text) => byText.get(text) ?? text),
    fromFlow: (memory) => inMemory(memory, textFor),
    sealed,
  }
}

const NOTHING: Referring = {
  references: {},
  known: (fields) => fields,
  answer: (given) => given,
  toFlow: (memory) => memory,
  fromFlow: (memory) => memory,
  sealed: (credential) => credential,
}

function mapped(fields: Texts, change: (name: string, text: string) => string): Texts {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, change(name, text.trim())]))
}

/** What a flow remembers is JSON; of anything else nothing is known, and nothing in it is touched. */
function inMemory(memory: Secret, change: (name: string, text: string) => string): Secret {
  try {
    const held: unknown = JSON.parse(memory.reveal(), (name, value) =>
      typeof value === 'string' ? change(name, value) : value,
    )
    return new Secret(JSON.stringify(held))
  } catch {
    return memory
  }
}
