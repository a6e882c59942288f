import { ValetkeyError } from '#client'

// SQLite's primary result codes, the low byte of the extended ones.
const BUSY = 5
const READ_ONLY = 8
const IO_ERROR = 10
const CORRUPT = 11
const FULL = 13
const CANNOT_OPEN = 14
const CONSTRAINT = 19
const NOT_A_DATABASE = 26

// Extended codes of what a disk does not take: a write, or the word that it is there to stay.
const UNWRITTEN_CODES = [778, 1034, 1290, 1546]

// Extended codes of a key that is there already.
const UNIQUE_CODES = [1555, 2067]

const SPACE_CODES = ['ENOSPC', 'EDQUOT', 'EFBIG']
const DENIED_CODES = ['EACCES', 'EPERM', 'EROFS']

function field(error: unknown, name: 'code' | 'errcode'): unknown {
  return typeof error === 'object' && error !== null && name in error ? Reflect.get(error, name) : undefined
}

export function unreadable(message: string, cause?: unknown): ValetkeyError {
  return new ValetkeyError('vault-unreadable', message, {
    hint: 'put a good copy of the vault back in its place; nothing was overwritten',
    cause,
  })
}

export function readOnly(cause?: unknown): ValetkeyError {
  return new ValetkeyError('read-only', 'the vault cannot be written where it lies', {
    hint: 'make the file and its folder writable for you, or set VALETKEY_HOME to another folder',
    cause,
  })
}

function diskFull(cause: unknown): ValetkeyError {
  return new ValetkeyError('disk-full', 'there is no room left to write the vault', {
    hint: 'free some space on the disk and try again; nothing was changed',
    cause,
  })
}

/** What was being written may be there or not when the vault is opened next. */
function notWritten(cause: unknown): ValetkeyError {
  return new ValetkeyError('vault-unreadable', 'the disk failed while the vault was written', {
    hint: 'look after the disk and how much of it is yours to use; what was acknowledged is kept',
    cause,
  })
}

export function held(cause?: unknown): ValetkeyError {
  return new ValetkeyError('held', 'another process holds the vault', {
    hint: 'use the valetkey that is running, or stop it first',
    cause,
  })
}

function meaningOfCode(errcode: number, cause: unknown): ValetkeyError {
  if (UNIQUE_CODES.includes(errcode))
    return new ValetkeyError('conflict', 'such a row is already there', { cause })
  if (UNWRITTEN_CODES.includes(errcode)) return notWritten(cause)
  switch (errcode & 0xff) {
    case BUSY:
      return held(cause)
    case READ_ONLY:
    case CANNOT_OPEN:
      return readOnly(cause)
    case FULL:
      return diskFull(cause)
    case CORRUPT:
    case NOT_A_DATABASE:
      return unreadable('the vault file is damaged, or it is no vault', cause)
    case IO_ERROR:
      return unreadable('the disk failed while the vault was read or written', cause)
    case CONSTRAINT:
      return new ValetkeyError('internal-error', 'a row was not complete', { cause })
    default:
      return new ValetkeyError('internal-error', 'the vault file did not take a statement', { cause })
  }
}

/** What an error of the file system or of SQLite means; undefined for one that is neither's. */
export function meaningOf(error: unknown): ValetkeyError | undefined {
  const errcode = field(error, 'errcode')
  if (typeof errcode === 'number') return meaningOfCode(errcode, error)
  const code = field(error, 'code')
  if (SPACE_CODES.includes(String(code))) return diskFull(error)
  if (DENIED_CODES.includes(String(code))) return readOnly(error)
  if (code === 'EIO') return meaningOfCode(IO_ERROR, error)
  return undefined
}

export async function inWords<R>(work: () => Promise<R> | R): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw meaningOf(error) ?? error
  }
}
