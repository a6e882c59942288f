import type { IncomingMessage, ServerResponse } from 'node:http'
import { ValetkeyError } from '#client'
import { SESSION_COOKIE } from './configuration.ts'
import { consent } from './consent.ts'
import { control } from './control.ts'
import { seeOther, show, showJson } from './http.ts'
import { said } from './pages/refusal-page.ts'
import type { Stage } from './stage.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export function answerFor(stage: Stage): Answer {
  const library = stage.provider.callback()

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A name that leads to loopback is still not ours: its page could read what we answer.
    if (request.headers.host !== stage.origin.host)
      return show(response, 421, said('Nobody of that name is here', `The address is ${stage.origin.origin}`))
    const path = pathOf(request)
    if (path === '/') return seeOther(response, '/practice')
    if (path === '/practice' || path.startsWith('/practice/')) return control(stage, path, request, response)
    if (stage.outage.secondsLeft() > 0) return unavailable(stage, response)
    if (path.startsWith('/interaction/')) return consent(stage, request, response)
    if (!isDevicePage(path)) forgetSession(request)
    return library(request, response)
  }

  return (request, response) => answer(request, response).catch((error) => failed(response, error))
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?')[0] ?? '/'
}

function unavailable({ counts, outage }: Stage, response: ServerResponse): void {
  counts.unavailable += 1
  const wait = { 'retry-after': String(outage.secondsLeft()) }
  showJson(response, 503, { error: 'temporarily_unavailable' }, wait)
}

/** The only page that needs one: it recognises its own form by the session. */
function isDevicePage(path: string): boolean {
  return path === '/device'
}

/**
 * Nobody is signed in here beforehand. So every sign-in asks who it is, and of two at once in one
 * browser neither ends the other.
 */
function forgetSession({ headers }: IncomingMessage): void {
  const cookies = headers.cookie?.split(/; */).filter((cookie) => !cookie.startsWith(SESSION_COOKIE))
  if (cookies !== undefined) headers.cookie = cookies.join('; ')
}

function failed(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy()
  else if (error instanceof ValetkeyError) show(response, 400, said('That was not understood', error.message))
  else show(response, 500, said('The practice provider made a mistake', 'Go back, and try again.'))
}
