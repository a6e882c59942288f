import { Secret } from '../../../model/secret.ts'
import { receipt } from '../../../wire/answers.ts'
import { print } from '../../../wire/print.ts'
import { exported, imported, vaultStatus } from '../../../wire/records.ts'
import {
  eraseOwnerRequest,
  exportRequest,
  importRequest,
  readImport,
  readRekey,
  readSecret,
  rekeyRequest,
  revokeOwnerRequest,
  unlockRequest,
} from '../../../wire/requests.ts'
import { type App, answers, body, createRoute, z } from './route.ts'

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

const importVault = createRoute({
  method: 'post',
  path: '/api/vault/import',
  operationId: 'importVault',
  request: { body: body(importRequest) },
  responses: answers(imported, 'What became of each account of the export, in its order'),
})

const revokeEverything = createRoute({
  method: 'post',
  path: '/api/vault/revoke-everything',
  operationId: 'revokeEverything',
  responses: answers(z.array(receipt), "Everybody's accounts are ended: what died, and what could not"),
})

const revokeOwner = createRoute({
  method: 'post',
  path: '/api/vault/revoke-owner',
  operationId: 'revokeOwner',
  request: { body: body(revokeOwnerRequest) },
  responses: answers(z.array(receipt), "One owner's accounts are ended: what died, and what could not"),
})

const eraseOwner = createRoute({
  method: 'post',
  path: '/api/vault/erase-owner',
  operationId: 'eraseOwner',
  request: { body: body(eraseOwnerRequest) },
  responses: answers(
    z.array(receipt),
    'All that was theirs is unreadable from now on; what died of it elsewhere, and what could not',
  ),
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

  app.openapi(importVault, async (c) => {
    const { document, passphrase, ...options } = c.req.valid('json')
    const lines = await c.var.keeper.import(document, new Secret(passphrase), readImport(options))
    return c.json([...lines], 200)
  })

  app.openapi(revokeEverything, async (c) => c.json(print(await c.var.keeper.revokeEverything()), 200))

  app.openapi(revokeOwner, async (c) => {
    return c.json(print(await c.var.keeper.revokeEverything(c.req.valid('json').owner)), 200)
  })

  app.openapi(eraseOwner, async (c) => {
    return c.json(print(await c.var.keeper.eraseOwner(c.req.valid('json').owner)), 200)
  })
}
