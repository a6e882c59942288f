import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { INSTALLATION } from '../model/caller.ts'
import type { Storage } from '../model/storage.ts'
import { openSqlite } from '../storage/sqlite.ts'
import { keySources } from './sources.ts'
import { openVault } from './vault.ts'

let folder: string
let storage: Storage
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  storage = await openSqlite(':memory:')
})
afterEach(async () => {
  await storage.close()
  await leave(folder)
})

/** A program that gives back what it is told, and leaves a mark when it was run. */
async function program(name: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\ntouch '${path}.ran'\ncat\n`, { mode: 0o700 })
  return path
}

const wasRun = (path: string) => existsSync(`${path}.ran`)

async function vaultWith(command: string | undefined) {
  const sources = keySources({ keyFolder: folder, env: {}, command })
  const clock = { now: () => new Date(), newId: () => randomUUID() }
  return { sources, keeper: await openVault({ storage, sources, preferred: 'command', ...clock }) }
}

describe('the program that keeps the key', () => {
  it('is the one that the configuration names, whatever the vault says of itself', async () => {
    const [ours, theirs] = [await program('ours'), await program('theirs')]
    await (await vaultWith(ours)).keeper.unlock()
    const row = await storage.get('vault', { owner: INSTALLATION })
    const remembered = JSON.stringify({ ...JSON.parse(row?.remembered ?? ''), command: theirs })
    await storage.update('vault', { owner: INSTALLATION }, { remembered })

    const { keeper } = await vaultWith(ours)
    await expect(keeper.unlock()).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(theirs),
      hint: expect.stringMatching(/keyCommand/),
    })
    expect(keeper.vault.locked).toBe(true)
    expect(wasRun(theirs)).toBe(false)
  })

  it('is none where the configuration names none, though the vault does', async () => {
    const theirs = await program('theirs')
    await (await vaultWith(undefined)).keeper.unlock().catch(() => undefined)
    await (await vaultWith(theirs)).keeper.unlock()
    await rm(`${theirs}.ran`)
    const { keeper } = await vaultWith(undefined)
    await expect(keeper.unlock()).rejects.toMatchObject({ code: 'config-invalid' })
    expect(wasRun(theirs)).toBe(false)
  })

  it('is not chosen by whoever asks for another key either', async () => {
    const [ours, theirs] = [await program('ours'), await program('theirs')]
    const { sources } = await vaultWith(ours)
    expect(() => sources('command', { command: theirs })).toThrow('not the program that the configuration')
    expect(sources('command', { command: ours }).kind).toBe('command')
  })
})
