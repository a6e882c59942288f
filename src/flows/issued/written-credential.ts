import type { Credential } from '../../model/credential.ts'
import { Secret } from '../../model/secret.ts'

/** A credential as text, for a memory that is sealed. */
export function writtenCredential({ worn, kept, ...rest }: Credential): string {
  return JSON.stringify({ ...rest, worn: revealed(worn), kept: revealed(kept) })
}

export function readCredential(text: string): Credential {
  const { worn, kept, expiresAt, grantEndsAt = null, idleEndsAt = null, ...rest } = JSON.parse(text)
  const ends = {
    expiresAt: dated(expiresAt),
    grantEndsAt: dated(grantEndsAt),
    idleEndsAt: dated(idleEndsAt),
  }
  return { ...rest, ...ends, worn: secrets(worn), kept: secrets(kept) }
}

function revealed(fields: Credential['worn']): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(fields).map(([name, secret]) => [name, secret.reveal()]))
}

function secrets(fields: Readonly<Record<string, string>>): Credential['worn'] {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, new Secret(text)]))
}

function dated(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}
