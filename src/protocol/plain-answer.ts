import { ValetkeyError } from '#client'
import { type Answer, type Judge, refuseTrouble } from './ask.ts'
import { strictObject } from './strict-json.ts'

/**
 * Judges what an endpoint of an authorization server said that issues no tokens: an object, of which these names
 * are left under the status of the standard, or the name of an error.
 */
export function plainAnswer(names: readonly string[], status: number): Judge {
  return (answer) => {
    refuseTrouble(answer)
    const isJson = answer.type === 'application/json'
    const said: Readonly<Record<string, unknown>> = isJson ? strictObject(answer.text) : {}
    const { error } = said
    if (typeof error === 'string' && error !== '') return { status: 400, body: { error } }
    if (answer.status > 201) throw unexplained(answer)
    if (!isJson) throw new ValetkeyError('bad-answer', 'the provider answered with something else than JSON')
    return { status, body: Object.fromEntries(names.map((name) => [name, said[name]])) }
  }
}

function unexplained({ status }: Answer): ValetkeyError {
  if (status === 401)
    return new ValetkeyError('provider-not-configured', 'the provider does not know this client', {
      hint: 'check the client id and by what it proves itself',
    })
  return new ValetkeyError('bad-answer', `the provider answered ${status} without saying why`)
}
