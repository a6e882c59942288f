import { afterAll, describe, expect, it, vi } from 'vitest'
import { report } from '../figures.ts'
import { play, scenarios, type Verdict } from '../mcp/conformance.ts'

/** What our client has to do to the letter. */
const OURS = [
  'auth/metadata-default',
  'auth/metadata-var1',
  'auth/metadata-var2',
  'auth/metadata-var3',
  'auth/basic-cimd',
  'auth/scope-from-www-authenticate',
  'auth/scope-from-scopes-supported',
  'auth/scope-omitted-when-undefined',
  'auth/scope-step-up',
  'auth/scope-retry-limit',
  'auth/token-endpoint-auth-basic',
  'auth/token-endpoint-auth-post',
  'auth/token-endpoint-auth-none',
  'auth/pre-registration',
  'auth/resource-mismatch',
  'auth/offline-access-scope',
  'auth/offline-access-not-supported',
  'auth/client-credentials-jwt',
  'auth/client-credentials-basic',
  'auth/cross-app-access-complete-flow',
]

/** What our client refuses, and has to fail at: a server that says nothing of where its tokens come from is not believed. */
const REFUSED = {
  'auth/2025-03-26-oauth-metadata-backcompat':
    'no metadata of the resource, so nobody vouches for its issuer',
  'auth/2025-03-26-oauth-endpoint-fallback': 'no metadata at all: endpoints would be guessed',
}

/** What is not about signing in, or not offered. */
const NOT_OURS = {
  initialize: 'the client is the library’s own, and nobody signs in',
  tools_call: 'the client is the library’s own, and nobody signs in',
  'elicitation-sep1034-client-defaults': 'the client is the library’s own, and nobody signs in',
  'sse-retry': 'the client is the library’s own, and nobody signs in',
}

/** Several run at once, each of two processes. */
vi.setConfig({ testTimeout: 120_000 })

const found: string[] = []

afterAll(() => {
  const passed = found.filter((row) => row.startsWith('passed')).length
  report('authorization scenarios passed', passed, OURS.length, '@modelcontextprotocol/conformance')
  const rows = Object.entries(NOT_OURS).map(([name, why]) => `not ours  ${name}: ${why}`)
  process.stdout.write(`\n${[...found.sort(), ...rows].join('\n')}\n\n`)
})

describe('the conformance suite of the Model Context Protocol, against our client', () => {
  it('has no scenario that nobody looked at', async () => {
    const known = [...OURS, ...Object.keys(REFUSED), ...Object.keys(NOT_OURS)]
    expect([...(await scenarios())].sort()).toEqual(known.sort())
  })

  it.concurrent.each(OURS)('[security 12] passes %s', async (name) => {
    const verdict = await play(name)
    found.push(`${verdict.passed ? 'passed  ' : 'failed  '}  ${name}: ${inWords(verdict)}`)
    expect(verdict.faults).toEqual([])
    expect(verdict).toMatchObject({ passed: true })
    expect(verdict.checks).toBeGreaterThan(0)
  })

  it.concurrent.each(Object.entries(REFUSED))(
    '[security 12] refuses %s on purpose: %s',
    async (name, why) => {
      const verdict = await play(name)
      found.push(`refused   ${name}: ${why}`)
      expect(verdict.passed).toBe(false)
      expect(verdict.said).toContain('cannot be connected by its address')
      expect(verdict.faults.join('\n')).toContain('token-request')
    },
  )
})

function inWords({ checks, faults, said = '' }: Verdict): string {
  return faults.length === 0 ? `${checks} checks` : [...faults, said].join('; ')
}
