import { formatAddress, ValetkeyError } from '#client'
import type { Account, Desk } from '../../../model/words.ts'
import { account, callerReceipt, pending, receipt } from '../../../wire/answers.ts'
import { flowSession } from '../../../wire/flows.ts'
import { print } from '../../../wire/print.ts'
import {
  connectRequest,
  readConnect,
  revokeCallerRequest,
  rotateEveryRequest,
} from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, named, z } from './route.ts'

const list = createRoute({
  method: 'get',
  path: '/api/accounts',
  operationId: 'listAccounts',
  responses: answers(z.array(account), 'The accounts that this caller may know of'),
})

const one = createRoute({
  method: 'get',
  path: '/api/accounts/{id}',
  operationId: 'getAccount',
  request: { params: named },
  responses: answers(account, 'The account'),
})

const again = {
  method: 'post',
  request: { params: named, body: body(connectRequest, { required: false }) },
  responses: answers(flowSession, 'The sign-in that was begun, with its first step'),
} as const

const reconnect = createRoute({
  ...again,
  path: '/api/accounts/{id}/reconnect',
  operationId: 'reconnectAccount',
})
const rotate = createRoute({ ...again, path: '/api/accounts/{id}/rotate', operationId: 'rotateAccount' })

const rotateEvery = createRoute({
  method: 'post',
  path: '/api/accounts/{id}/rotate-every',
  operationId: 'rotateAccountEvery',
  request: { params: named, body: body(rotateEveryRequest) },
  responses: answers(account, 'The account, with the time when its secret is due to be rotated'),
})

const refresh = {
  method: 'post',
  request: { params: named },
  responses: answers(account, 'The account, with its access renewed'),
} as const

const revoke = {
  method: 'delete',
  request: { params: named },
  responses: answers(receipt, 'What died, and what could not'),
} as const

const revokeCaller = createRoute({
  method: 'post',
  path: '/api/revoke-caller',
  operationId: 'revokeCaller',
  request: { body: body(revokeCallerRequest) },
  responses: answers(callerReceipt, 'What the caller lost, and what it may use until that dies by itself'),
})

const revokeAll = createRoute({
  method: 'post',
  path: '/api/revoke-all',
  operationId: 'revokeAll',
  responses: answers(z.array(receipt), 'All accounts are ended: what died, and what could not'),
})

const outbox = createRoute({
  method: 'get',
  path: '/api/outbox',
  operationId: 'listOutbox',
  responses: answers(z.array(pending), 'What providers have still to be told'),
})

export function accountRoutes(app: App): void {
  app.openapi(list, async (c) => c.json(print(await c.var.desk.accounts()), 200))

  app.openapi(one, async (c) => {
    return c.json(print(await findAccount(c.var.desk, c.req.valid('param').id)), 200)
  })

  app.openapi(reconnect, async (c) => {
    const request = readConnect(c.req.valid('json'))
    return c.json(print(await c.var.desk.reconnect(c.req.valid('param').id, request)), 200)
  })

  app.openapi(rotate, async (c) => {
    const request = readConnect(c.req.valid('json'))
    return c.json(print(await c.var.desk.rotate(c.req.valid('param').id, request)), 200)
  })

  app.openapi(rotateEvery, async (c) => {
    const { days } = c.req.valid('json')
    return c.json(print(await c.var.desk.rotateEvery(c.req.valid('param').id, days)), 200)
  })

  app.openapi(revokeCaller, async (c) => {
    return c.json(print(await c.var.desk.revokeCaller(c.req.valid('json').caller)), 200)
  })

  app.openapi(revokeAll, async (c) => c.json(print(await c.var.desk.revokeAll()), 200))
  app.openapi(outbox, async (c) => c.json(print(await c.var.desk.outbox()), 200))

  for (const prefix of ['/api', '']) {
    const path = `${prefix}/accounts/{id}` as const
    const hide = prefix === ''

    app.openapi(createRoute({ ...refresh, path: `${path}/refresh`, hide }), async (c) => {
      return c.json(print(await c.var.desk.refresh(c.req.valid('param').id)), 200)
    })

    app.openapi(createRoute({ ...revoke, path, hide }), async (c) => {
      return c.json(print(await c.var.desk.revoke(c.req.valid('param').id)), 200)
    })
  }
}

async function findAccount(desk: Desk, name: string): Promise<Account> {
  const found = (await desk.accounts()).find((one) => one.id === name || addressOf(one) === name)
  if (found === undefined) {
    throw new ValetkeyError('not-connected', 'no such account is connected here', {
      hint: 'valetkey accounts',
    })
  }
  return found
}

function addressOf({ providerId, bucket }: Account): string {
  return formatAddress({ provider: providerId, bucket })
}
