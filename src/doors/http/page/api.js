/** Why something was not done, and what to do next. */
export class Refusal extends Error {
  /** @param {{ code: string, detail: string, title?: string, hint?: string | null }} problem */
  constructor({ code, detail, title, hint }) {
    super(title ?? detail)
    this.code = code
    this.detail = detail
    this.hint = hint ?? undefined
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
  return new Refusal({ code: 'broker-gone', detail: 'Valetkey does not answer.', hint: 'npm start' })
}

function noSense() {
  return { code: 'internal-error', detail: 'Valetkey answered something that makes no sense.' }
}
