/** Somebody who has an account at the practice provider. */
export interface Person {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly emailVerified: boolean
  readonly locale: string
}

type People = readonly [Person, ...Person[]]

/** Bob never clicked the link in the mail, so that a client can be seen to make a difference. */
export const PEOPLE: People = [
  { id: 'alice', name: 'Alice', email: 'alice@example.com', emailVerified: true, locale: 'en-GB' },
  { id: 'bob', name: 'Bob', email: 'bob@example.com', emailVerified: false, locale: 'de-DE' },
]

export function claimsOf({ id, name, email, emailVerified, locale }: Person) {
  return { sub: id, name, preferred_username: id, locale, email, email_verified: emailVerified }
}
