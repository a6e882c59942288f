import type { Practice } from './practice.ts'

export interface Answers {
  readonly person?: 'alice' | 'bob'
  readonly seconds?: 5 | 30 | 300 | 3600
  readonly rotates?: boolean
  readonly decision?: 'allow' | 'deny'
}

/** A person at a browser of few talents, for tests that need no more: cookies, redirects, and our forms. */
export interface Visitor {
  /** Where the browser ends up, with whatever stands there. */
  open(link: URL): Promise<{ readonly url: URL; readonly answer: Response }>
  send(place: URL, fields: Readonly<Record<string, string>>, origin?: string): Promise<Response>
  /** Opens a link to sign in, answers the consent page, and says where it would go back to. */
  consent(link: URL, answers?: Answers): Promise<URL>
  /** Enters the code that a device shows, and answers the consent page. */
  enter(code: string, answers?: Answers): Promise<void>
}

export function visitorOf({ origin }: Pick<Practice, 'origin'>): Visitor {
  const cookies = new Map<string, Cookie>()

  async function request(url: URL, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('cookie', cookiesFor(cookies, url))
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const cookie of answer.headers.getSetCookie()) remember(cookies, cookie)
    return answer
  }

  async function open(link: URL) {
    let url = link
    for (;;) {
      if (url.origin !== origin.origin) return { url, answer: new Response() }
      const answer = await request(url)
      const next = answer.headers.get('location')
      if (next === null) return { url, answer }
      await answer.body?.cancel()
      url = new URL(next, url)
    }
  }

  function send(place: URL, fields: Readonly<Record<string, string>>, from = origin.origin) {
    return request(place, { method: 'POST', headers: { origin: from }, body: new URLSearchParams(fields) })
  }

  async function consent(link: URL, answers: Answers = {}): Promise<URL> {
    const { url } = await open(link)
    const answer = await send(url, fieldsOf(answers))
    const next = new URL(answer.headers.get('location') ?? url, url)
    return (await open(next)).url
  }

  async function enter(code: string, answers: Answers = {}): Promise<void> {
    const place = new URL('/device', origin)
    const page = await (await open(place)).answer.text()
    const form = { xsrf: /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? '', user_code: code }
    await (await send(place, form)).body?.cancel()
    const asked = await send(place, { ...form, confirm: 'yes' })
    await consent(new URL(asked.headers.get('location') ?? place, place), answers)
  }

  return { open, send, consent, enter }
}

function fieldsOf({ person = 'alice', seconds = 300, rotates = true, decision = 'allow' }: Answers) {
  return { person, seconds: String(seconds), ...(rotates ? { rotates: 'yes' } : {}), decision }
}

interface Cookie {
  readonly path: string
  readonly pair: string
}

function cookiesFor(cookies: ReadonlyMap<string, Cookie>, { pathname }: URL): string {
  const sent = [...cookies.values()].filter(({ path }) => pathname.startsWith(path))
  return sent.map(({ pair }) => pair).join('; ')
}

function remember(cookies: Map<string, Cookie>, header: string): void {
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? []
  const [, path = '/'] = /; path=([^;]+)/i.exec(header) ?? []
  const key = `${name} ${path}`
  if (value === '') cookies.delete(key)
  else cookies.set(key, { path, pair: `${name}=${value}` })
}
