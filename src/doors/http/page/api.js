/** @typedef {import('../../../../client/src/error.ts').Reaction} Reaction */
/** @typedef {import('../../../../client/src/words.ts').Way} Way */

/** Why something was not done, and what to do next. */
export class Refusal extends Error {
  /** @param {{ code: string, detail: string, reaction: Reaction, title?: string, hint?: string | null, instead?: Way | null }} problem */
  constructor({ code, detail, reaction, title, hint, instead }) {
    super(title ?? detail)
    this.code = code
    this.detail = detail
    this.reaction = reaction
    this.hint = hint ?? undefined
    this.instead = instead ?? undefined
  }
}

/**
 * One verb of the API.
 *
 * @param {'GET' | 'POST' | 'DELETE'} method
 * @param {string} path
 * @param {object} [body]
 */
export async function ask(method, path, body) {
  const headers = { 'content-type': 'application/json', 'valetkey-request': '1' }
  const init =
    body === undefined ? { headers: { 'valetkey-request': '1' } } : { headers, body: JSON.stringify(body) }
  const response = await fetch(path, { method, ...init }).catch(() => Promise.reject(gone()))
  if (!response.ok) throw new Refusal(await response.json().catch(noSense))
  return response.status === 204 ? undefined : response.json()
}

/** @param {TemplateStringsArray} texts @param {...string} parts */
export function path(texts, ...parts) {
  return String.raw({ raw: texts }, ...parts.map(encodeURIComponent))
}

function gone() {
  const detail = 'Valetkey does not answer.'
  return new Refusal({ code: 'broker-gone', detail, reaction: 'try-again', hint: 'npm start' })
}

/** @returns {ConstructorParameters<typeof Refusal>[0]} */
function noSense() {
  const detail = 'Valetkey answered something that makes no sense.'
  return { code: 'internal-error', detail, reaction: 'nothing' }
}
