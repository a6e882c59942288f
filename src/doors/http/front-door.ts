import { z } from '@hono/zod-openapi'
import { ValetkeyError } from '#client'
import type { HttpDoor } from './door.ts'
import type { Front } from './front.ts'
import { refuse } from './refusals.ts'
import { showsKey } from './shown-keys.ts'

const SESSION = '/api/session'
const LONGEST_CODE = 1024
const entering = z.strictObject({ code: z.string().max(200) })

/** The door as TCP has it: whoever holds the cookie is the owner, and nobody else is anybody. */
export function frontDoor(front: Front, door: HttpDoor): HttpDoor {
  return {
    async fetch(request, env = {}) {
      const { pathname } = new URL(request.url)
      // Who shows a key is nobody besides, and whatever cookie came along is not looked at.
      if (showsKey(request.headers)) return door.fetch(request, env)
      if (pathname === SESSION && request.method === 'POST') return enter(front, request)
      if (pathname === SESSION && request.method === 'DELETE') return answer(front.leave(request))
      return door.fetch(request, {
        ...env,
        caller: front.identify(request),
        browser: front.browserOf(request),
      })
    },
  }
}

async function enter(front: Front, request: Request): Promise<Response> {
  const code = await readCode(request).catch(() => undefined)
  const cookie = code === undefined ? undefined : front.enter(code)
  return cookie === undefined ? refuse(noEntry()) : answer(cookie)
}

async function readCode(request: Request): Promise<string | undefined> {
  const length = Number(request.headers.get('content-length') ?? Number.NaN)
  if (!(length <= LONGEST_CODE)) return undefined
  return entering.safeParse(await request.json()).data?.code
}

/** One answer for a code that is wrong, used or late: which of them it was is nobody's business. */
function noEntry(): ValetkeyError {
  return new ValetkeyError('unauthenticated', 'this link is no longer good', { hint: 'valetkey open' })
}

function answer(cookie: string): Response {
  return new Response(null, { status: 204, headers: { 'set-cookie': cookie, 'cache-control': 'no-store' } })
}
