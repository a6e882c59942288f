import { renderSVG } from 'uqr'
import { ValetkeyError } from '#client'
import { flowSession } from '../../../wire/flows.ts'
import { print } from '../../../wire/print.ts'
import { flowAnswer, readFlowAnswer } from '../../../wire/requests.ts'
import { type App, answers, answersPicture, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/flows',
  operationId: 'listFlows',
  responses: answers(z.array(flowSession), 'The sign-ins under way, the latest first'),
})

const look = createRoute({
  method: 'get',
  path: '/api/flows/{id}',
  operationId: 'getFlow',
  request: { params: named },
  responses: answers(flowSession, 'The sign-in as it stands'),
})

const answer = createRoute({
  method: 'post',
  path: '/api/flows/{id}/answer',
  operationId: 'answerFlow',
  request: { params: named, body: body(flowAnswer) },
  responses: answers(flowSession, 'The sign-in after the answer'),
})

const cancel = createRoute({
  method: 'delete',
  path: '/api/flows/{id}',
  operationId: 'cancelFlow',
  request: { params: named },
  responses: answers(flowSession, 'The sign-in, cancelled'),
})

const image = createRoute({
  method: 'get',
  path: '/api/flows/{id}/code.svg',
  operationId: 'getFlowCode',
  request: { params: named },
  responses: answersPicture('Where the code is entered, as a QR code for another device'),
})

export function flowRoutes(app: App): void {
  app.openapi(list, async (c) => c.json([...print(await c.var.desk.flows())], 200))

  app.openapi(image, async (c) => {
    const { step } = await c.var.desk.flow(c.req.valid('param').id)
    if (step?.ask !== 'enter-code') throw noCode()
    return c.body(qrCode((step.whole ?? step.at).href), 200, { 'content-type': 'image/svg+xml' })
  })

  app.openapi(look, async (c) => c.json(print(await c.var.desk.flow(c.req.valid('param').id)), 200))

  app.openapi(answer, async (c) => {
    const session = await c.var.desk.answer(c.req.valid('param').id, readFlowAnswer(c.req.valid('json')))
    return c.json(print(session), 200)
  })

  app.openapi(cancel, async (c) => c.json(print(await c.var.desk.cancel(c.req.valid('param').id)), 200))
}

/** Dark on light whatever colours the page has, and with a margin: most cameras read nothing else. */
function qrCode(link: string): string {
  return renderSVG(link, { ecc: 'M', border: 4, pixelSize: 4 })
}

function noCode(): ValetkeyError {
  return new ValetkeyError('not-found', 'this sign-in shows no code')
}
