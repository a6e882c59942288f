import { readFileSync } from 'node:fs'
import { parseSync } from 'rolldown/utils'

export interface Import {
  /** Undefined where it is computed, so that nobody can read where it leads. */
  readonly target: string | undefined
  readonly line: number
  /** A file named by its URL, as for a worker or a process of its own. */
  readonly byUrl?: true
}

interface Node {
  readonly type: string
  readonly start: number
  readonly [field: string]: unknown
}

/** Every way in which one file of code reaches for another, types and computed paths included. */
export function readImports(path: string): readonly Import[] {
  const text = readFileSync(path, 'utf8')
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`)
  return [...nodesOf(program)].flatMap((node) =>
    reachesOf(node).map((reach) => ({ ...reach, line: text.slice(0, node.start).split('\n').length })),
  )
}

function reachesOf(node: Node): readonly Omit<Import, 'line'>[] {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return [{ target: textOf(node['source']) }]
    case 'ExportNamedDeclaration':
      return node['source'] ? [{ target: textOf(node['source']) }] : []
    case 'TSExternalModuleReference':
      return [{ target: textOf(node['expression']) }]
    case 'CallExpression':
      return isRequire(node['callee']) ? [{ target: textOf(argumentOf(node)) }] : []
    case 'NewExpression': {
      const target = isNamed(node['callee'], 'URL') ? textOf(argumentOf(node)) : undefined
      return target?.startsWith('.') ? [{ target, byUrl: true }] : []
    }
    default:
      return []
  }
}

/** What a string says, or a template without anything computed in it. */
function textOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined
  if (node.type === 'Literal' && typeof node['value'] === 'string') return node['value']
  if (node.type !== 'TemplateLiteral') return undefined
  const quasis = node['quasis'] as readonly { readonly value: { readonly cooked: string } }[]
  return quasis.length === 1 ? quasis[0]?.value.cooked : undefined
}

function argumentOf(node: Node): unknown {
  return (node['arguments'] as readonly unknown[])[0]
}

/** `require`, or what `createRequire` makes on the spot. */
function isRequire(callee: unknown): boolean {
  if (isNamed(callee, 'require')) return true
  return isNode(callee) && callee.type === 'CallExpression' && isNamed(callee['callee'], 'createRequire')
}

function isNamed(node: unknown, name: string): boolean {
  return isNode(node) && node.type === 'Identifier' && node['name'] === name
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function* nodesOf(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* nodesOf(item)
  if (!isNode(value)) return
  yield value
  for (const field of Object.values(value)) yield* nodesOf(field)
}
