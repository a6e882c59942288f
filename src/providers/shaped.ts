import type { z } from 'zod'
import { unusable } from './unusable.ts'

/** What stands in a file, once it is of the right form; else says which field is not, and why. */
export function shaped<S extends z.ZodType>(file: string, schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value, { error: inWords })
  if (result.success) return result.data
  throw unusable(file, issueInWords(result.error.issues))
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
