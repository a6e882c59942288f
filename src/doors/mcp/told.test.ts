import { describe, expect, it } from 'vitest'
import { ValetkeyError } from '#client'
import { canary } from '../../testing/canary.ts'
import { tellRefusal } from './told.ts'

describe('a refusal that a tool tells', () => {
  it('says what the program does next, and what the person can', () => {
    const hint = 'valetkey asks allow ask-1'
    const { isError, structuredContent } = tellRefusal(new ValetkeyError('ask-needed', 'asked', { hint }))
    expect(isError).toBe(true)
    expect(structuredContent).toMatchObject({ error: 'ask-needed', what: 'asked', forThePerson: hint })
    expect(structuredContent['next']).toContain('`ask`')
  })

  it('has no person ask, where a tool does', () => {
    const hint = 'valetkey ask openai --reason …'
    const refusal = new ValetkeyError('not-connected', 'no account at openai for you', { hint })
    const { structuredContent } = tellRefusal(refusal)
    expect(structuredContent).not.toHaveProperty('forThePerson')
    expect(structuredContent['next']).toContain('`ask`')
  })

  it('names the way that may be tried instead, in one sentence', () => {
    const instead = { flow: 'api-key', label: 'a key' }
    const { structuredContent } = tellRefusal(
      new ValetkeyError('vendor-policy', 'not for others', { instead }),
    )
    expect(structuredContent['next']).toMatch(
      /Or call `connect` once more with the flow `api-key`: by a key\.$/,
    )
  })

  it('says nothing of what went wrong inside', () => {
    const said = canary('said')
    const told = tellRefusal(new TypeError(said))
    expect(told.structuredContent['error']).toBe('internal-error')
    expect(JSON.stringify(told)).not.toContain(said)
  })
})
