import { DatabaseError } from 'pg'
import { type ErrorCode, ValetkeyError } from '#client'

/** How an error of one database is said in words; undefined for one that is not the database's. */
export type Meaning = (error: unknown) => ValetkeyError | undefined

type Said = readonly [code: ErrorCode, message: string, hint?: string]

// Appendix A of the manual: what a statement, or the server itself, did not like.
const UNIQUE = '23505'
const SERIALIZATION = ['40001', '40P01']
const READ_ONLY = '25006'
const LOCK_TIMEOUT = '55P03'
const DENIED = '42501'
const DISK_FULL = ['53100', '58030']
const TOO_MUCH = ['53200', '53300', '53400']
const TOO_SLOW = '57014'
const NOT_LET_IN = ['28000', '28P01', '3D000']
const GONE = ['57P01', '57P02', '57P03', '57P05', '25P03', '25P04']
const CONNECTION_CLASS = '08'

/** What the driver says, in words only, of a connection that broke or never came to be. */
const BROKEN =
  /^(Connection terminated|Client (has encountered|was closed)|timeout expired|Query read timeout|The server does not support SSL)/i
/** What the pool says when all of its connections were in use for as long as one may wait for one. */
const ALL_IN_USE = /^timeout exceeded when trying to connect/
const ERRNO = /^(E[A-Z]+|ERR_(TLS|SSL)_.*|[A-Z_]*CERT[A-Z_]*)$/

const TRY_AGAIN = 'look whether the database is running and can be reached, then try again'

function fieldOf(error: unknown, name: 'code' | 'cause'): unknown {
  return typeof error === 'object' && error !== null && name in error ? Reflect.get(error, name) : undefined
}

/** The SQLSTATE of an error, or of what it was caused by. */
export function stateOf(error: unknown): string | undefined {
  for (let at = error; at !== undefined; at = fieldOf(at, 'cause'))
    if (at instanceof DatabaseError) return at.code
  return undefined
}

export function gotInTheWay(error: unknown): boolean {
  return SERIALIZATION.includes(stateOf(error) ?? '')
}

/** In a snapshot the other row was not to be seen: only another look tells whether it is really in the way. */
export function wasThereAlready(error: unknown): boolean {
  return stateOf(error) === UNIQUE
}

/** The connection is no good any more, or never was. */
export function isGone(error: unknown): boolean {
  for (let at = error; at !== undefined; at = fieldOf(at, 'cause')) if (goneItself(at)) return true
  return false
}

function goneItself(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const { code = '' } = error
    return GONE.includes(code) || code.startsWith(CONNECTION_CLASS)
  }
  if (!(error instanceof Error) || error instanceof ValetkeyError) return false
  return ERRNO.test(String(fieldOf(error, 'code'))) || BROKEN.test(error.message)
}

function meant(place: string, code: string): Said {
  if (code === UNIQUE) return ['conflict', 'such a row is already there']
  if (SERIALIZATION.includes(code)) return ['conflict', 'somebody else changed this at the same moment']
  if (code === LOCK_TIMEOUT) return ['conflict', 'somebody else has been writing there for too long']
  if (DISK_FULL.includes(code))
    return ['disk-full', `there is no room left at ${place}`, 'free some space at the database and try again']
  if (code === READ_ONLY)
    return [
      'read-only',
      `the database at ${place} only lets itself be read`,
      'let DATABASE_URL name the one that is written to',
    ]
  if (TOO_MUCH.includes(code))
    return ['resource-exhausted', `the database at ${place} has too much to do`, 'try again in a moment']
  if (NOT_LET_IN.includes(code))
    return ['config-invalid', `the database at ${place} does not let us in`, 'look at DATABASE_URL']
  if (code === DENIED)
    return [
      'config-invalid',
      `the user of DATABASE_URL lacks a right at ${place}`,
      'let that user own the database',
    ]
  if (code === TOO_SLOW) return ['network-error', `the database at ${place} took too long`, TRY_AGAIN]
  return ['internal-error', 'the database did not take a statement']
}

function tooMuch(place: string, cause: unknown): ValetkeyError {
  return new ValetkeyError('resource-exhausted', `all connections to the database at ${place} are in use`, {
    hint: 'try again in a moment',
    cause,
  })
}

/** `place` is said to people: the host and the database, and nothing by which one gets in. */
export function meaningAt(place: string): Meaning {
  return (error) => {
    if (error instanceof ValetkeyError) return undefined
    if (error instanceof Error && ALL_IN_USE.test(error.message)) return tooMuch(place, error)
    if (isGone(error))
      return new ValetkeyError('network-error', `the database at ${place} cannot be reached`, {
        hint: TRY_AGAIN,
        cause: error,
      })
    if (!(error instanceof DatabaseError)) return undefined
    const [code, message, hint] = meant(place, error.code ?? '')
    return new ValetkeyError(code, message, { ...(hint !== undefined && { hint }), cause: error })
  }
}

/** Nobody can say whether the server still wrote what it was told last. */
export function inDoubt(place: string, cause: unknown): ValetkeyError {
  return new ValetkeyError(
    'network-error',
    `the connection to ${place} broke while a change was written; it may or may not have been kept`,
    { hint: 'look at how things stand, then try again', cause },
  )
}
