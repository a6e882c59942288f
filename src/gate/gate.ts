import { type AuditVerb, type ErrorCode, parseAddress, ValetkeyError } from '#client'
import type { Caller, Proof } from '../model/caller.ts'
import type { AuditChain, Gate, NewEntry, Passage, Permits, Standing, Target } from '../model/gate.ts'
import { asAsked, isUse, judge, type Refusal } from './policy.ts'

interface GateParts {
  readonly chain: AuditChain
  /** What is known about this caller and this address. It throws where that cannot be known, as of no address. */
  readonly standing: (caller: Caller, target: Target) => Promise<Standing>
  /** What the owner allowed when they were asked; nothing, where nobody is asked. */
  readonly permits?: Permits
  readonly now: () => Date
}

type Line = Omit<NewEntry, 'outcome'>

interface Question {
  readonly caller: Caller
  readonly verb: AuditVerb
  readonly target: Target
  readonly found: Standing
}

/** An entry that was begun. Ending it resolves once the end is written. */
interface Opening {
  end(entry: NewEntry): Promise<number>
}

/** What the owner's answer may change. */
const ASKED_ABOUT: readonly ErrorCode[] = ['ask-needed', 'not-allowed']

/** Their work is done in memory: whatever leaves the broker leaves after the record was closed. */
const IN_MEMORY: readonly AuditVerb[] = ['lend', 'reveal']

export function openGate({ chain, standing, permits, now }: GateParts): Gate {
  /** How a caller stands after all, where the owner allowed it when they were asked. Throws the refusal. */
  async function afterAll({ caller, verb, target, found }: Question, refusal: Refusal): Promise<Standing> {
    if (permits === undefined || !isUse(verb) || !ASKED_ABOUT.includes(refusal.code)) throw errorOf(refusal)
    for (;;) {
      const permit = await permits.find(caller, verb, found)
      if (permit === undefined) break
      const verdict = judge(caller, verb, target, permit.standing, now())
      if (!verdict.allowed) throw errorOf(verdict)
      if (await permit.take()) return permit.standing
    }
    throw refusal.code === 'ask-needed' ? await permits.ask(caller, verb, target, found) : errorOf(refusal)
  }

  return {
    async pass(caller, verb, target) {
      const line = lineOf(caller, verb, target)
      const refuse = async (error: unknown): Promise<never> => {
        await chain.append({ ...line, outcome: 'refused', code: codeOf(error) })
        throw error
      }
      const found = await standing(caller, target).catch(refuse)
      const verdict = judge(caller, verb, target, found, now())
      const stands = verdict.allowed
        ? found
        : await afterAll({ caller, verb, target, found }, verdict).catch(refuse)
      const opening = IN_MEMORY.includes(verb) ? openLater(chain, line) : await openNow(chain, line)
      return { ...stands, close: closer(opening, line) }
    },
  }
}

/** Only the first closing counts; a later one hears how the first went. */
function closer(opening: Opening, line: Line): Passage['close'] {
  let closed: Promise<void> | undefined
  return (outcome, more = {}) => {
    closed ??= opening.end({ ...line, ...more, outcome }).then(() => undefined)
    return closed
  }
}

async function openNow(chain: AuditChain, line: Line): Promise<Opening> {
  const opened = await chain.append({ ...line, outcome: 'opened' })
  return { end: (entry) => chain.append({ ...entry, opened }) }
}

/** What ends in the turn in which it began is one entry. */
function openLater(chain: AuditChain, line: Line): Opening {
  let opened: Promise<number> | undefined
  const turnOver = setImmediate(() => {
    opened = chain.append({ ...line, outcome: 'opened' })
    // Whoever ends it is told; until then nobody listens.
    opened.catch(() => undefined)
  })
  return {
    async end(entry) {
      clearImmediate(turnOver)
      return chain.append(opened === undefined ? entry : { ...entry, opened: await opened })
    },
  }
}

function lineOf(caller: Caller, verb: AuditVerb, target: Target): Line {
  return {
    owner: caller.owner,
    caller: caller.id,
    proof: printed(caller.proof),
    verb,
    target: readable(target) ? asAsked(target) : 'an address that cannot be read',
  }
}

const proofs = new WeakMap<Proof, string>()

/** A connection proves the same for each of its requests. */
function printed(proof: Proof): string {
  const known = proofs.get(proof) ?? printProof(proof)
  proofs.set(proof, known)
  return known
}

/** What is no address may be anything, such as a key that was pasted in the wrong place. */
function readable({ address }: Target): boolean {
  return address === undefined || parseAddress(address) !== undefined
}

function errorOf({ code, message, hint }: Refusal): ValetkeyError {
  return new ValetkeyError(code, message, { hint })
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof ValetkeyError ? error.code : 'internal-error'
}

function printProof({ door, uid, pid, executable, startedAt }: Proof): string {
  const parts = [
    door,
    uid === undefined ? '' : `uid ${uid}`,
    pid === undefined ? '' : `pid ${pid}`,
    executable ?? '',
    startedAt === undefined ? '' : `since ${startedAt.toISOString()}`,
  ]
  return parts.filter((part) => part !== '').join(', ')
}
