import { describe, expect, it } from 'vitest'
import { ERRORS, type ErrorCode, refusalOf, ValetkeyError } from '#client'
import { canary } from '../testing/canary.ts'
import { problem, problemDocument, STATUS } from './problem.ts'

describe('a problem', () => {
  it('carries the code, the hint and what a program may do', () => {
    const error = new ValetkeyError('not-connected', 'no account at github', {
      hint: 'valetkey connect github',
    })
    expect(problem(error)).toEqual({
      type: 'urn:valetkey:not-connected',
      title: 'There is no such account here.',
      status: 404,
      detail: 'no account at github',
      code: 'not-connected',
      hint: 'valetkey connect github',
      reaction: 'reconnect',
      retryable: false,
    })
  })

  it('says how many whole seconds to wait, where that is known', () => {
    const error = new ValetkeyError('rate-limited', 'too many', { retryAfter: 2.4 })
    expect(problem(error)).toMatchObject({ reaction: 'try-again', retryAfter: 3 })
    expect(problemDocument.safeParse(problem(error)).success).toBe(true)
    expect(problem(new ValetkeyError('rate-limited', 'too many'))).not.toHaveProperty('retryAfter')
  })

  it('names the way that may be tried instead, and whoever reads it has that again', async () => {
    const instead = { flow: 'api-key', label: 'a key' }
    const error = new ValetkeyError('vendor-policy', 'not for programs like this one', { instead })
    expect(problem(error)).toMatchObject({ status: 403, instead })
    expect(problemDocument.safeParse(problem(error)).success).toBe(true)
    const read = await refusalOf(Response.json(problem(error), { status: 403 }))
    expect(read).toMatchObject({ code: 'vendor-policy', instead })
    const odd = { ...problem(error), instead: { flow: 1 } }
    expect((await refusalOf(Response.json(odd, { status: 403 }))).instead).toBeNull()
  })

  it('is of the documented form for every code there is', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const told = problem(new ValetkeyError(code, 'x'))
      expect(problemDocument.safeParse(told).success, code).toBe(true)
      expect(STATUS[code], code).toBeGreaterThanOrEqual(400)
    }
  })

  it('says nothing of an error that is not ours', () => {
    const secret = canary('bare-error')
    for (const bare of [new Error(secret), secret, { code: secret }, undefined]) {
      const told = problem(bare)
      expect(told.code).toBe('internal-error')
      expect(JSON.stringify(told)).not.toContain(secret)
    }
  })

  it('does not tell the cause', () => {
    const secret = canary('cause')
    const error = new ValetkeyError('server-error', 'it failed', { cause: new Error(secret) })
    expect(JSON.stringify(problem(error))).not.toContain(secret)
  })
})
