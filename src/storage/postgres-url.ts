import { createHash, randomUUID } from 'node:crypto'
import { ValetkeyError } from '#client'

/** A database as its URL names it. */
export interface Database {
  readonly url: string
  /** The host and the name, for people: nothing by which one gets in. */
  readonly place: string
  /** The role that every question is asked in. */
  readonly role: string
  /** By it the changes that were made through this storage are told from everybody else's. */
  readonly self: string
}

const SCHEMES = ['postgres:', 'postgresql:']
const ROLE = /^[a-z_][a-z0-9_]{0,62}$/

// A role belongs to all databases of a server, so each vault has one of its own: whoever may take on the
// role of one of them has no rights in another.
const ROLE_PREFIX = 'valetkey_rows'
const PLAIN_NAME = /^[a-z0-9_]{1,40}$/

function invalid(message: string, hint: string): ValetkeyError {
  return new ValetkeyError('config-invalid', message, { hint })
}

function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && SCHEMES.includes(url.protocol)) return url
  throw invalid('DATABASE_URL names no Postgres database', 'write it as postgres://user@host/database')
}

function roleFor(name: string): string {
  if (PLAIN_NAME.test(name)) return `${ROLE_PREFIX}_${name}`
  return `${ROLE_PREFIX}_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

function nameIn({ pathname, username }: URL): string {
  return decodeURIComponent(pathname.slice(1) || username) || 'postgres'
}

export function readDatabase(text: string, role?: string): Database {
  const url = parsed(text)
  const name = nameIn(url)
  if (role !== undefined && !ROLE.test(role))
    throw invalid('this cannot be the name of a role', 'take small letters, digits and underscores')
  const host = url.searchParams.get('host') ?? (url.host || 'localhost')
  return { url: text, place: `${host}/${name}`, role: role ?? roleFor(name), self: randomUUID() }
}

/** The URL with settings for the server that hold from a connection's first moment on. */
export function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const changed = new URL(url)
  const theirs = changed.searchParams.get('options') ?? ''
  const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  changed.searchParams.set('options', [theirs, ...ours].join(' ').trim())
  return changed.href
}
