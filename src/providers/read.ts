import type { z } from 'zod'
import { ValetkeyError } from '#client'
import { type Provider, providerSchema } from '../model/provider.ts'
import { flawsOf } from './judge.ts'

const MOST = 256 * 1024

/** Reads the text of one provider file; refuses it with the file, the field and what is wrong. */
export function readProvider(file: string, text: string): Provider {
  if (text.length > MOST) throw unusable(file, 'is too large for a provider')
  return parseProvider(file, parseJson(file, text))
}

export function parseProvider(file: string, value: unknown): Provider {
  const result = providerSchema.safeParse(value, { error: inWords })
  if (!result.success) throw unusable(file, issueInWords(result.error.issues))
  for (const { field, words } of flawsOf(result.data)) throw unusable(file, `${field} ${words}`)
  return result.data
}

export function unusable(file: string, words: string): ValetkeyError {
  return new ValetkeyError('config-invalid', `${file}: ${words}`, {
    hint: 'provider.schema.json says what may stand in a provider file',
  })
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const where = /line \d+ column \d+/.exec(String(cause))?.[0]
    throw unusable(file, `is not JSON${where ? `, at ${where}` : ''}`)
  }
}

const inWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.input === undefined && issue.code !== 'unrecognized_keys') return 'is missing'
  if (issue.code === 'invalid_type') return `must be ${aThing(issue.expected)}`
  if (issue.code === 'unrecognized_keys') return `has no field "${issue.keys.join('", "')}"`
  if (issue.code === 'invalid_value')
    return `must be ${issue.values.map((one) => `"${String(one)}"`).join(' or ')}`
  if (issue.code === 'too_small') return 'is too short'
  if (issue.code === 'too_big') return 'is too long'
  return 'is not of the right form'
}

function aThing(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}

/** The first thing that is wrong; of alternatives, the one that was nearest to being right. */
function issueInWords(issues: readonly z.core.$ZodIssue[], above: readonly PropertyKey[] = []): string {
  const [issue] = issues
  if (!issue) return 'cannot be read'
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_union') {
    const [nearest] = issue.errors.toSorted((a, b) => a.length - b.length)
    if (nearest?.length) return issueInWords(nearest, path)
  }
  const inside =
    issue.code === 'invalid_key' || issue.code === 'invalid_element' ? issue.issues[0] : undefined
  return `${pathInWords(path)} ${inside?.message ?? issue.message}`.trim()
}

function pathInWords(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}
