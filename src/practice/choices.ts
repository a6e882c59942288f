import { PEOPLE, type Person } from './people.ts'

/** How long the access that is handed out lives, in seconds, and in words. */
export const LIVES: ReadonlyMap<number, string> = new Map([
  [5, '5 seconds'],
  [30, '30 seconds'],
  [300, '5 minutes'],
  [3600, '1 hour'],
])

export const USUAL_LIFE = 300

/** What the person chose on the consent page. */
export interface Choices {
  readonly person: Person
  readonly seconds: number
  readonly rotates: boolean
}

/** Undefined for a form that our page does not send. */
export function choicesIn(form: URLSearchParams): Choices | undefined {
  const person = PEOPLE.find(({ id }) => id === form.get('person'))
  const seconds = Number(form.get('seconds'))
  if (person === undefined || !LIVES.has(seconds)) return undefined
  return { person, seconds, rotates: form.get('rotates') === 'yes' }
}
