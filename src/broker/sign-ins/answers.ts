import { Secret } from '../../model/secret.ts'
import type { FlowAnswer } from '../../model/words.ts'

// What doors say to a session, as it is written into its sealed fields.

export function writeAnswer(answer: FlowAnswer): Secret {
  if ('callback' in answer) return new Secret(JSON.stringify({ callback: answer.callback.reveal() }))
  return new Secret(JSON.stringify({ fields: revealed(answer.fields) }))
}

export function readAnswer(text: string): FlowAnswer {
  const { callback, fields = {} } = JSON.parse(text) as { callback?: string; fields?: Record<string, string> }
  return callback === undefined ? { fields: secrets(fields) } : { callback: new Secret(callback) }
}

export function revealed(fields: Readonly<Record<string, Secret>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, secret]) => [name, secret.reveal()]))
}

export function secrets(fields: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, new Secret(text)]))
}
