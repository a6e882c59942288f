import type { Field } from '#client'
import { isReference } from '../../model/references.ts'
import { keyInArgv, usage } from './failure.ts'

/** What was given beforehand, so that nobody is asked for it. */
export interface Supply {
  /**
   * By `--field` and `--var`: to be seen by every program on the machine, and so never a secret, but at most
   * where one is read.
   */
  readonly open: Readonly<Record<string, string>>
  /** What came on standard input. */
  readonly secret: string | undefined
}

export interface Filled {
  readonly values: Readonly<Record<string, string>>
  /** Fields that still want a value; optional ones are among them. */
  readonly missing: readonly Field[]
}

/** Puts what was given beforehand into the fields that are asked for. */
export function fill(fields: readonly Field[], supply: Supply): Filled {
  refuseMisplaced(fields, supply.open)
  const values = { ...supply.open, ...readSecrets(fields, supply.secret) }
  return { values, missing: fields.filter((field) => values[field.name] === undefined) }
}

function refuseMisplaced(fields: readonly Field[], open: Supply['open']): void {
  const names = fields.map((field) => field.name).join(', ')
  for (const [name, value] of Object.entries(open)) {
    const field = fields.find((asked) => asked.name === name)
    if (field === undefined) throw unknownField(name, names)
    if (field.kind === 'secret' && !isReference(value)) throw keyInArgv()
    refuseUnknownChoice(field, value)
  }
}

function unknownField(name: string, names: string) {
  return usage(
    `no field is called ${name} here`,
    `the fields are ${names}; what a host needs is given by --var`,
  )
}

function refuseUnknownChoice({ name, kind, choices }: Field, value: string): void {
  if (kind !== 'choice' || choices === undefined || choices.includes(value)) return
  throw usage(`${JSON.stringify(value)} is no choice for ${name}`, `one of ${choices.join(', ')}`)
}

/** One secret alone, or lines of `name=value` where several are asked for. */
function readSecrets(fields: readonly Field[], text: string | undefined): Record<string, string> {
  if (text === undefined) return {}
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (lines.length === 0) throw usage('nothing came on standard input', 'give the secret there: … < key.txt')
  const named = lines.map((line) => namedLine(fields, line)).filter((pair) => pair !== undefined)
  if (named.length === lines.length) return Object.fromEntries(named)
  const wanted = fields.filter((field) => field.kind === 'secret')
  const required = wanted.filter((field) => !field.optional)
  const alone = required[0] ?? wanted[0]
  if (alone === undefined) throw usage('no secret is asked for here', 'leave out --key-stdin')
  if (required.length > 1) throw severalAsked(wanted)
  return { [alone.name]: text.trim() }
}

function namedLine(fields: readonly Field[], line: string): readonly [string, string] | undefined {
  const at = line.indexOf('=')
  const name = line.slice(0, Math.max(0, at)).trim()
  return fields.some((field) => field.name === name) ? [name, line.slice(at + 1).trim()] : undefined
}

function severalAsked(wanted: readonly Field[]) {
  const lines = wanted.map((field) => `${field.name}=…`).join(', ')
  return usage(
    'several secrets are asked for here',
    `give each on a line of its own on standard input: ${lines}`,
  )
}
