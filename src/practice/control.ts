import type { IncomingMessage, ServerResponse } from 'node:http'
import { formIn, isFromOurPage, seeOther, show, showJson } from './http.ts'
import { controlPage } from './pages/control-page.ts'
import { notOursPage, said } from './pages/refusal-page.ts'
import type { Stage } from './stage.ts'

type Deed = (stage: Stage, form: URLSearchParams) => void

const DEEDS: ReadonlyMap<string, Deed> = new Map<string, Deed>([
  ['/practice/revoke', ({ grants }, form) => void grants.revoke(form.get('grant') ?? '')],
  ['/practice/slower', ({ devices }) => devices.slowDown()],
  ['/practice/down', ({ outage }) => outage.begin()],
])

/** The strings behind the stage. They can be pulled while the provider is down as well. */
export async function control(
  stage: Stage,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const deed = DEEDS.get(path)
  if (request.method === 'GET' && path === '/practice') return show(response, 200, look(stage))
  if (request.method === 'GET' && path === '/practice/counts') return showJson(response, 200, stage.counts)
  if (request.method !== 'POST' || deed === undefined)
    return show(response, 404, said('There is no such page', 'The control page is at /practice.'))
  if (!isFromOurPage(request, stage.origin)) return show(response, 403, notOursPage())
  deed(stage, await formIn(request))
  seeOther(response, '/practice')
}

function look({ grants, counts, program, outage, now }: Stage) {
  return controlPage({ grants: grants.alive(), counts, program, downFor: outage.secondsLeft(), now: now() })
}
