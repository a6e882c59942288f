import { existsSync, readdirSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { type Import, readImports } from './imports.ts'

/** Who may walk into which room. `all` is for the files which build the house. */
export type Arrows = Readonly<Record<string, readonly string[] | 'all'>>
/** The only packages that a room may know, where that is nobody else's business. */
export type Packages = Readonly<Record<string, readonly string[]>>

export interface Inspection {
  readonly read: number
  readonly faults: readonly string[]
}

const CODE = /\.[cm]?[jt]sx?$/
const TEST = /\.test\.[cm]?[jt]sx?$/
const CLIENT = '#client'

/** Walks through `src/` and `client/src/` below a folder and names every arrow that is not allowed. */
export function inspectHouse(root: string, arrows: Arrows, packages: Packages = {}): Inspection {
  const files = [...filesBelow(root, 'src'), ...filesBelow(root, join('client', 'src'))]
  const code = files.filter((file) => CODE.test(file) && !TEST.test(file))
  const homeless = files.filter((file) => !hasRoom(file, arrows)).map((file) => `${file}: has no room`)
  const wrong = code
    .filter((file) => hasRoom(file, arrows))
    .flatMap((file) =>
      readImports(join(root, file)).flatMap((found) => {
        const fault = faultOf(root, file, found, arrows, packages)
        return fault === undefined ? [] : [`${file}:${found.line}: ${fault}`]
      }),
    )
  return { read: code.length, faults: [...homeless, ...wrong] }
}

function filesBelow(root: string, folder: string): readonly string[] {
  const below = join(root, folder)
  if (!existsSync(below)) return []
  return readdirSync(below, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/** `src/vault/envelope.ts` lies in `vault`, `src/doors/cli/run.ts` in `doors/cli`, `src/open.ts` in itself. */
function roomOf(file: string): string {
  if (file.startsWith('client/src/')) return CLIENT
  const [, room = '', inner = ''] = file.replace(TEST, '.ts').split('/')
  return room === 'doors' ? `doors/${inner}` : room
}

function hasRoom(file: string, arrows: Arrows): boolean {
  return Object.hasOwn(arrows, roomOf(file))
}

function faultOf(
  root: string,
  file: string,
  { target, byUrl }: Import,
  arrows: Arrows,
  packages: Packages,
): string | undefined {
  const room = roomOf(file)
  if (target === undefined) return 'imports what only a run can tell'
  if (target === CLIENT) return room === CLIENT ? 'reaches for itself by #client' : undefined
  if (!target.startsWith('.')) return faultOfPackage(room, target, packages)

  const path = join(dirname(file), target).split(sep).join('/')
  if (byUrl && !(CODE.test(path) && existsSync(join(root, path)))) return undefined
  if (!existsSync(join(root, path))) return `${target} is not there`
  if (TEST.test(path)) return `${target} is a test`
  return faultOfArrow(room, path, arrows)
}

function faultOfArrow(room: string, path: string, arrows: Arrows): string | undefined {
  const allowed = arrows[room] ?? []
  const entered = isInside(path) ? roomOf(path) : path
  if (entered === room || allowed.includes(entered)) return undefined
  if (entered === CLIENT) return `${path} is reached by #client only`
  if (!isInside(path)) return `${path} lies outside the house`
  return allowed === 'all' ? undefined : `${room} may not walk into ${entered}`
}

function isInside(path: string): boolean {
  return path.startsWith('src/') || path.startsWith('client/src/')
}

function faultOfPackage(room: string, target: string, packages: Packages): string | undefined {
  const name = nameOf(target)
  if (name === undefined) return `${target} is not a way to name a package`
  const allowed = packages[room]
  return allowed === undefined || allowed.includes(name) ? undefined : `${room} may not know ${name}`
}

/** The package in `kysely/migration`; builtin modules keep their whole name. */
function nameOf(target: string): string | undefined {
  if (target.startsWith('node:')) return target
  const name = /^(?:@[\w.-]+\/)?[\w.-]+/.exec(target)?.[0]
  const isOurs = name === 'valetkey' || name?.startsWith('@valetkey/')
  return name === undefined || isOurs || builtinModules.includes(name) ? undefined : name
}
