import { Secret } from '../../../model/secret.ts'
import { print } from '../../../wire/print.ts'
import { exported, vaultStatus } from '../../../wire/records.ts'
import {
  eraseOwnerRequest,
  exportRequest,
  readRekey,
  readSecret,
  rekeyRequest,
  unlockRequest,
} from '../../../wire/requests.ts'
import { type App, answers, answersNothing, body, createRoute } from './route.ts'

const standing = answers(vaultStatus, 'How the vault stands')

const status = createRoute({
  method: 'get',
  path: '/api/vault',
  operationId: 'getVault',
  responses: standing,
})

const lock = createRoute({
  method: 'post',
  path: '/api/vault/lock',
  operationId: 'lockVault',
  responses: standing,
})

const unlock = createRoute({
  method: 'post',
  path: '/api/vault/unlock',
  operationId: 'unlockVault',
  request: { body: body(unlockRequest, { required: false }) },
  responses: standing,
})

const rekey = createRoute({
  method: 'post',
  path: '/api/vault/rekey',
  operationId: 'rekeyVault',
  request: { body: body(rekeyRequest) },
  responses: standing,
})

const acceptRestore = createRoute({
  method: 'post',
  path: '/api/vault/accept-restore',
  operationId: 'acceptRestore',
  responses: standing,
})

const exportVault = createRoute({
  method: 'post',
  path: '/api/vault/export',
  operationId: 'exportVault',
  request: { body: body(exportRequest) },
  responses: answers(exported, 'The accounts, sealed under the passphrase'),
})

const eraseOwner = createRoute({
  method: 'post',
  path: '/api/vault/erase-owner',
  operationId: 'eraseOwner',
  request: { body: body(eraseOwnerRequest) },
  responses: answersNothing('All that was theirs is unreadable from now on'),
})

export function vaultRoutes(app: App): void {
  app.openapi(status, async (c) => c.json(print(await c.var.keeper.status()), 200))
  app.openapi(lock, async (c) => c.json(print(await c.var.keeper.lock()), 200))
  app.openapi(acceptRestore, async (c) => c.json(print(await c.var.keeper.acceptRestore()), 200))

  app.openapi(unlock, async (c) => {
    const passphrase = readSecret(c.req.valid('json').passphrase)
    return c.json(print(await c.var.keeper.unlock(passphrase)), 200)
  })

  app.openapi(rekey, async (c) => {
    return c.json(print(await c.var.keeper.rekey(readRekey(c.req.valid('json')))), 200)
  })

  app.openapi(exportVault, async (c) => {
    const passphrase = new Secret(c.req.valid('json').passphrase)
    return c.json({ document: await c.var.keeper.export(passphrase) }, 200)
  })

  app.openapi(eraseOwner, async (c) => {
    await c.var.keeper.eraseOwner(c.req.valid('json').owner)
    return c.body(null, 204)
  })
}
