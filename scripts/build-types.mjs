import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseSync, Visitor } from 'rolldown/utils'
import { root } from './prepare.mjs'
import { run } from './run.mjs'

/**
 * Packages whose types show through ours. A package's reader does not install them, so their
 * types are published along with ours; their code is bundled.
 */
const CARRIED = ['zod']
/** What a reader of our types has by themselves. */
const THEIRS = /^(?:node:|vitest$)/

/**
 * Declarations for the entrances and for what shows through them, and nothing else.
 *
 * @param {readonly string[]} entrances
 * @param {string} out
 */
export async function buildTypes(entrances, out) {
  const emitted = join(root, '.cache', 'types')
  rmSync(emitted, { recursive: true, force: true })
  const { ok, output } = await run('tsc', ['--project', 'tsconfig.build.json', '--outDir', emitted])
  if (!ok) throw new Error(`the types cannot be built\n${output}`)

  const waiting = entrances.map((entrance) => declarationOf(join(emitted, entrance)))
  for (const path of waiting) {
    const text = pointed(path, (target) => {
      const found = locate(emitted, path, target)
      if (found && !waiting.includes(found)) waiting.push(found)
      return found && shortest(placeOf(emitted, path), placeOf(emitted, found))
    })
    const place = join(out, placeOf(emitted, path))
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, text)
  }
}

/**
 * The text of a declaration, with its imports pointing where `point` says.
 *
 * @param {string} path
 * @param {(target: string) => string | undefined} point
 */
function pointed(path, point) {
  const text = readFileSync(path, 'utf8')
  /** @type {{ value: string, start: number, end: number }[]} */
  const sources = []
  const note = (/** @type {any} */ node) => node.source && sources.push(node.source)
  new Visitor({
    ImportDeclaration: note,
    ExportNamedDeclaration: note,
    ExportAllDeclaration: note,
    TSImportType: note,
  }).visit(parseSync(path, text).program)
  return sources
    .sort((one, other) => other.start - one.start)
    .reduce((said, { value, start, end }) => {
      const target = point(value)
      return target ? `${said.slice(0, start)}'${target}'${said.slice(end)}` : said
    }, text)
}

/**
 * The declaration behind an import; undefined where the reader has it.
 *
 * @param {string} emitted
 * @param {string} from
 * @param {string} target
 */
function locate(emitted, from, target) {
  if (THEIRS.test(target)) return undefined
  const path = target.startsWith('.')
    ? declarationOf(join(dirname(from), target))
    : target === '#client'
      ? join(emitted, 'client/src/index.d.ts')
      : CARRIED.includes(target)
        ? join(root, 'node_modules', target, 'index.d.ts')
        : undefined
  if (path && existsSync(path)) return path
  throw new Error(`${relative(root, from)} shows ${target}, which a reader of the package does not have`)
}

/** @param {string} code */
function declarationOf(code) {
  return code.replace(/(?:\.d)?\.(?:ts|js)$/, '.d.ts')
}

/**
 * @param {string} emitted
 * @param {string} path
 */
function placeOf(emitted, path) {
  const inside = relative(emitted, path)
  return inside.startsWith('..') ? relative(join(root, 'node_modules'), path) : inside
}

/**
 * @param {string} from
 * @param {string} to
 */
function shortest(from, to) {
  const path = relative(dirname(from), to).replace(/\.d\.ts$/, '.js')
  return path.startsWith('.') ? path : `./${path}`
}
