import { SaxesParser } from 'saxes'
import { ValetkeyError } from '#client'

/** What an element says: text, or what the elements in it say. */
export type Said = string | { readonly [name: string]: Said }

interface Open {
  readonly name: string
  text: string
  readonly inside: Map<string, Said>
}

/**
 * The elements of an XML answer by their names. Entities of its own, a document type and an element that is there
 * twice are refused: whoever reads on must not have to know which of two counts. Attributes say nothing here.
 */
export function strictXml(text: string): { readonly [name: string]: Said } {
  const root: Open = { name: '', text: '', inside: new Map() }
  const open = [root]
  const parser = new SaxesParser({ xmlns: false })
  parser.on('error', refuse)
  parser.on('doctype', refuse)
  parser.on('opentag', ({ name }) => void open.push({ name, text: '', inside: new Map() }))
  parser.on('text', (more) => void add(open, more))
  parser.on('cdata', (more) => void add(open, more))
  parser.on('closetag', () => close(open))
  parser.write(text).close()
  return Object.fromEntries(root.inside)
}

function add(open: readonly Open[], more: string): void {
  const last = open.at(-1)
  if (last !== undefined) last.text += more
}

function close(open: Open[]): void {
  const ended = open.pop()
  const parent = open.at(-1)
  if (ended === undefined || parent === undefined || parent.inside.has(ended.name)) throw refused()
  parent.inside.set(ended.name, ended.inside.size > 0 ? Object.fromEntries(ended.inside) : ended.text.trim())
}

function refuse(): void {
  throw refused()
}

function refused(): ValetkeyError {
  return new ValetkeyError('bad-answer', 'the answer of the provider is not plain XML')
}
