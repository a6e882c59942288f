import { describe, expect, it } from 'vitest'
import { type ConnectRequest, type FlowSession, ValetkeyError } from '#client'
import { DONE, play, session } from './test-stage.ts'

const INSTEAD = { flow: 'api-key', label: 'a key' }
const DENIED = {
  code: 'access-denied',
  detail: 'access was denied',
  hint: null,
  reaction: 'ask-the-person',
} as const
const FAILED = session({ state: 'failed', step: null, failure: DENIED, instead: INSTEAD })

/** A desk at which each sign-in that is begun is one of these, or is refused. */
function deskOf(...begun: readonly (FlowSession | ValetkeyError)[]) {
  const requests: ConnectRequest[] = []
  const connect = async (request: ConnectRequest) => {
    const next = begun[requests.push(request) - 1] ?? DONE
    if (next instanceof ValetkeyError) throw next
    return next
  }
  return { desk: { connect, cancel: async () => session({ state: 'cancelled' }) }, requests }
}

describe('where a way fails', () => {
  it('names the command that takes the next', async () => {
    const { desk } = deskOf(FAILED)
    const { stderr, exit } = await play(['connect', 'github/work'], { desk })
    expect(stderr).toBe(
      '! access-denied: access was denied\n  or: valetkey connect github/work --flow api-key\n',
    )
    expect(exit).toBe(1)
  })

  it('names no command twice', async () => {
    const hint = 'valetkey connect anthropic --flow api-key'
    const { desk } = deskOf(new ValetkeyError('vendor-policy', 'not for others', { hint, instead: INSTEAD }))
    const { stderr, exit } = await play(['connect', 'claude', '--flow', 'authorization-code'], { desk })
    expect(stderr).toBe(`! vendor-policy: not for others\n  hint: ${hint}\n`)
    expect(exit).toBe(4)
  })

  it('goes the next where whoever sits here wants that, with one question', async () => {
    const { desk, requests } = deskOf(FAILED, DONE)
    const asked: string[] = []
    const confirm = async ({ message }: { message: string }) => asked.push(message) > 0
    const { stdout, stderr } = await play(['connect', 'github'], { desk, prompts: { confirm } })
    expect(asked).toEqual(['access was denied; try a key instead?'])
    expect(requests).toMatchObject([{}, { flow: 'api-key' }])
    expect([stdout, stderr]).toEqual(['connected openai as Ada\n', ''])
  })

  it('leaves it at that where they do not', async () => {
    const { desk, requests } = deskOf(FAILED)
    const { stderr, exit } = await play(['connect', 'github'], {
      desk,
      prompts: { confirm: async () => false },
    })
    expect([requests.length, exit]).toEqual([1, 1])
    expect(stderr).toContain('  or: valetkey connect github --flow api-key\n')
  })

  it('tells it to a script as well', async () => {
    const { desk } = deskOf(FAILED)
    const { stderr } = await play(['connect', 'github', '--json'], { desk })
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'access-denied', instead: INSTEAD } })
  })
})

describe('which way comes first', () => {
  it('is told to whoever sits here, with why and what would help', async () => {
    const passedOver = [
      { flow: 'x', label: 'the browser', why: 'there is no client', hint: 'valetkey register x' },
    ]
    const { desk } = deskOf({ ...DONE, passedOver, notice: 'tolerated so far' })
    const { stderr } = await play(['connect', 'github'], { desk, prompts: {} })
    expect(stderr).toBe(
      'note: tolerated so far\nnot by the browser: there is no client\n  for that: valetkey register x\n',
    )
  })

  it.each([
    ['needs no browser where nobody sits', undefined, {}, { noBrowser: true }],
    ['needs none where there is none', {}, { hasBrowser: () => false }, { noBrowser: true }],
    ['may need one where there is one', {}, { hasBrowser: () => true }, {}],
  ])('%s', async (_, prompts, hands, told) => {
    const { desk, requests } = deskOf(DONE)
    await play(['connect', 'github'], { desk, hands, ...(prompts && { prompts }) })
    expect(requests).toEqual([{ provider: 'github', bucket: 'default', ...told }])
  })

  it('is left to whoever says which, and scopes are asked for by their names', async () => {
    const { desk, requests } = deskOf(DONE)
    const words = [
      'connect',
      'github',
      '--flow',
      'device-code',
      '--scope',
      'repo,gist',
      '--scope',
      'read:org',
    ]
    await play(words, { desk })
    expect(requests[0]).toMatchObject({ flow: 'device-code', scopes: ['repo', 'gist', 'read:org'] })
    expect(requests[0]).not.toHaveProperty('noBrowser')
  })
})
