import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Arrows, inspectHouse, type Packages } from './rooms/house.ts'

/**
 * Who may walk into which room. Every room may know the outward words, by `#client`; nobody
 * walks into a door but the files that build the house.
 */
const ARROWS: Arrows = {
  '#client': [],
  model: [],
  network: ['model'],
  storage: ['model'],
  vault: ['model'],
  gate: ['model'],
  machine: ['model'],
  browser: ['model'],
  protocol: ['model'],
  providers: ['model', 'protocol'],
  wire: ['model'],
  flows: ['model', 'protocol', 'browser'],
  broker: ['model', 'protocol', 'gate', 'vault'],
  people: ['model', 'protocol', 'gate', 'vault'],
  'doors/cli': ['model', 'wire', 'machine'],
  'doors/socket': ['model', 'wire', 'machine'],
  'doors/http': ['model', 'wire', 'machine'],
  'doors/mcp': ['model', 'wire', 'machine', 'protocol'],
  'doors/proxy': ['model', 'wire', 'machine'],
  'doors/helpers': ['model', 'wire', 'machine'],
  practice: ['model'],
  demo: ['practice'],
  testing: ['model', 'vault', 'storage', 'gate', 'broker'],
  'version.ts': ['package.json'],
  'open.ts': 'all',
  'serve.ts': 'all',
  'reach.ts': 'all',
  'start.ts': 'all',
  'attend.ts': 'all',
  'show.ts': 'all',
  'where.ts': 'all',
  'bin.ts': 'all',
  'index.ts': 'all',
  'socket-door.ts': 'all',
}

/** Rooms that stand on nearly nothing, so that they run anywhere and are read without a manual. */
const PACKAGES: Packages = {
  '#client': [],
  model: ['zod', 'node:util', 'node:stream'],
}

const house = fileURLToPath(new URL('..', import.meta.url))

describe('the house', () => {
  const { read, faults } = inspectHouse(house, ARROWS, PACKAGES)

  it('has no arrow that is not drawn, and no file without a room', () => {
    expect(faults).toEqual([])
  })

  it('was really read', () => {
    expect(read).toBeGreaterThan(20)
  })
})

/** What the inspection says of a house of these files. */
async function faultsOf(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const root = await mkdtemp(join(tmpdir(), 'valetkey-'))
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), text)
    }
    return inspectHouse(root, ARROWS, PACKAGES).faults
  } finally {
    await rm(root, { recursive: true })
  }
}

const vault = { 'src/vault/keys.ts': 'export interface Key {}\nexport const key = 1\n' }

describe('an arrow that is not drawn is found', () => {
  it.each([
    ['static', `import { key } from '../vault/keys.ts'`],
    ['for its effect', `import '../vault/keys.ts'`],
    ['type-only', `import type { Key } from '../vault/keys.ts'`],
    ['of one type among values', `import { type Key } from '../vault/keys.ts'`],
    ['a type written in place', `export type A = import('../vault/keys.ts').Key`],
    ['the type of a whole file', `export type A = typeof import('../vault/keys.ts')`],
    ['re-exported by name', `export { key } from '../vault/keys.ts'`],
    ['re-exported whole', `export * from '../vault/keys.ts'`],
    ['re-exported as types', `export type * from '../vault/keys.ts'`],
    ['dynamic', `export const a = () => import('../vault/keys.ts')`],
    ['dynamic, in a template', 'export const a = () => import(`../vault/keys.ts`)'],
    ['required', `export const a = require('../vault/keys.ts')`],
    ['required on the spot', `export const a = createRequire(import.meta.url)('../vault/keys.ts')`],
    ['import = require', `import a = require('../vault/keys.ts')`],
    ['by URL', `export const a = new Worker(new URL('../vault/keys.ts', import.meta.url))`],
    ['with a detour', `import { key } from './../../src/flows/../vault/keys.ts'`],
  ])('%s', async (_, line) => {
    expect(await faultsOf({ ...vault, 'src/flows/api-key.ts': `// flows\n${line}\n` })).toEqual([
      'src/flows/api-key.ts:2: flows may not walk into vault',
    ])
  })

  it('from one door to another, and from a room to a door', async () => {
    const faults = await faultsOf({
      'src/doors/http/page.ts': `import '../cli/run.ts'`,
      'src/doors/cli/run.ts': '',
      'src/broker/lend.ts': `import '../doors/cli/run.ts'`,
    })
    expect(faults).toEqual([
      'src/broker/lend.ts:1: broker may not walk into doors/cli',
      'src/doors/http/page.ts:1: doors/http may not walk into doors/cli',
    ])
  })

  it('from a room to a file that builds the house', async () => {
    expect(await faultsOf({ 'src/open.ts': '', 'src/gate/pass.ts': `import '../open.ts'` })).toEqual([
      'src/gate/pass.ts:1: gate may not walk into open.ts',
    ])
  })

  it('past the entrance of the client', async () => {
    expect(
      await faultsOf({
        'client/src/words.ts': `import '../../src/vault/keys.ts'`,
        'src/wire/json.ts': `import '../../client/src/words.ts'`,
        ...vault,
      }),
    ).toEqual([
      'src/wire/json.ts:1: client/src/words.ts is reached by #client only',
      'client/src/words.ts:1: #client may not walk into vault',
    ])
  })

  it('by the names of our own packages, and by names that only this repository knows', async () => {
    expect(
      await faultsOf({ 'src/wire/json.ts': `import '@valetkey/client'\nimport '#vault/keys.ts'` }),
    ).toEqual([
      'src/wire/json.ts:1: @valetkey/client is not a way to name a package',
      'src/wire/json.ts:2: #vault/keys.ts is not a way to name a package',
    ])
  })

  it('to a package, from a room that stands on nothing', async () => {
    expect(
      await faultsOf({
        'src/model/words.ts': `import { z } from 'zod'\nimport 'hono/client'`,
        'client/src/desk.ts': `import type { Readable } from 'node:stream'`,
      }),
    ).toEqual([
      'src/model/words.ts:2: model may not know hono',
      'client/src/desk.ts:1: #client may not know node:stream',
    ])
  })

  it('out of the house, into a test, to what is not there, and to what only a run can tell', async () => {
    expect(
      await faultsOf({
        'scripts/build.mjs': '',
        'src/gate/a.test.ts': '',
        'src/gate/a.ts': [
          `import '../../scripts/build.mjs'`,
          `import './a.test.ts'`,
          `import './b.ts'`,
          `export const load = (name: string) => import('./' + name)`,
        ].join('\n'),
      }),
    ).toEqual([
      'src/gate/a.ts:1: scripts/build.mjs lies outside the house',
      'src/gate/a.ts:2: ./a.test.ts is a test',
      'src/gate/a.ts:3: ./b.ts is not there',
      'src/gate/a.ts:4: imports what only a run can tell',
    ])
  })
})

describe('the inspection', () => {
  it.each([
    'src/helpers/text.ts',
    'src/main.ts',
    'src/doors/main.ts',
    'src/doors/fax/send.ts',
    'src/attic/old.json',
  ])('finds that %s has no room', async (path) => {
    expect(await faultsOf({ [path]: '' })).toEqual([`${path}: has no room`])
  })

  it('reads nothing in an empty folder, so that such a run cannot pass for a good one', async () => {
    const root = await mkdtemp(join(tmpdir(), 'valetkey-'))
    expect(inspectHouse(root, ARROWS).read).toBe(0)
    await rm(root, { recursive: true })
  })

  it('will not pass over a file that it cannot parse', async () => {
    await expect(faultsOf({ 'src/gate/a.ts': 'import {' })).rejects.toThrow('cannot be parsed')
  })

  it('has nothing against what is drawn, nor against what a test does', async () => {
    expect(
      await faultsOf({
        ...vault,
        'client/src/index.ts': `export * from './words.ts'`,
        'client/src/words.ts': '',
        'src/broker/lend.ts': `import { key } from '../vault/keys.ts'\nimport { ValetkeyError } from '#client'`,
        'src/flows/api-key.test.ts': `import '../vault/keys.ts'`,
        'src/gate/page.ts': `export const page = new URL('./page/', import.meta.url)`,
        'src/open.ts': `import './vault/keys.ts'\nimport './broker/lend.ts'`,
      }),
    ).toEqual([])
  })
})
