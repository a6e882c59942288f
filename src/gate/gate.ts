import { type AuditVerb, type ErrorCode, parseAddress, ValetkeyError } from '#client'
import type { Caller, Proof } from '../model/caller.ts'
import type { AuditChain, Gate, NewEntry, Passage, Standing, Target } from '../model/gate.ts'
import { asAsked, judge } from './policy.ts'

interface GateParts {
  readonly chain: AuditChain
  /** What is known about this caller and this address. It throws where that cannot be known, as of no address. */
  readonly standing: (caller: Caller, target: Target) => Promise<Standing>
  readonly now: () => Date
}

type Line = Omit<NewEntry, 'outcome'>

/** An entry that was begun. Ending it resolves once the end is written. */
interface Opening {
  end(entry: NewEntry): Promise<number>
}

/** Their work is done in memory: whatever leaves the broker leaves after the record was closed. */
const IN_MEMORY: readonly AuditVerb[] = ['lend', 'reveal']

export function openGate({ chain, standing, now }: GateParts): Gate {
  return {
    async pass(caller, verb, target) {
      const line = lineOf(caller, verb, target)
      const found = await standing(caller, target).catch(async (error: unknown) => {
        await chain.append({ ...line, outcome: 'refused', code: codeOf(error) })
        throw error
      })
      const verdict = judge(caller, verb, target, found, now())
      if (!verdict.allowed) {
        await chain.append({ ...line, outcome: 'refused', code: verdict.code })
        throw new ValetkeyError(verdict.code, verdict.message, { hint: verdict.hint })
      }
      const opening = IN_MEMORY.includes(verb) ? openLater(chain, line) : await openNow(chain, line)
      return { ...found, close: closer(opening, line) }
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
    proof: printProof(caller.proof),
    verb,
    target: readable(target) ? asAsked(target) : 'an address that cannot be read',
  }
}

/** What is no address may be anything, such as a key that was pasted in the wrong place. */
function readable({ address }: Target): boolean {
  return address === undefined || parseAddress(address) !== undefined
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
