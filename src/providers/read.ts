import { type Provider, providerSchema } from '../model/provider.ts'
import { flawsOf } from './judge.ts'
import { shaped } from './shaped.ts'
import { inOurSpelling } from './spellings.ts'
import { unusable } from './unusable.ts'

const MOST = 256 * 1024

/** Reads the text of one provider file; refuses it with the file, the field and what is wrong. */
export function readProvider(file: string, text: string): Provider {
  if (text.length > MOST) throw unusable(file, 'is too large for a provider')
  return parseProvider(file, inOurSpelling(file, parseJson(file, text)))
}

export function parseProvider(file: string, value: unknown): Provider {
  const provider = shaped(file, providerSchema, value)
  for (const { field, words } of flawsOf(provider)) throw unusable(file, `${field} ${words}`)
  return provider
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const where = /line \d+ column \d+/.exec(String(cause))?.[0]
    throw unusable(file, `is not JSON${where ? `, at ${where}` : ''}`)
  }
}
