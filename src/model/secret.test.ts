import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { canary } from '../testing/canary.ts'
import { Secret } from './secret.ts'

const value = canary('secret')

describe('a secret', () => {
  const secret = new Secret(value)

  it.each([
    ['toString', () => String(secret)],
    ['JSON', () => JSON.stringify({ secret })],
    ['util.inspect', () => inspect({ deep: [secret] }, { depth: 9, showHidden: true })],
    ['a template', () => `${secret}`],
    ['concatenation', () => `a ${secret as unknown as string}`.concat(secret as unknown as string)],
    ['an error', () => String(new Error(`it was ${secret}`).stack)],
    ['its own fields', () => JSON.stringify([Object.entries(secret), Object.getOwnPropertySymbols(secret)])],
  ])('[security 20.1] is not given away by %s', (_, print) => {
    expect(print()).not.toContain(value)
  })

  it('is seen by revealing it, and by nothing else', () => {
    expect(secret.reveal()).toBe(value)
  })

  it('holds bytes of its own, which are zero once it is forgotten', () => {
    const given = new TextEncoder().encode(value)
    const own = new Secret(given)
    const bytes = own.revealBytes()
    own.forget()
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(new TextDecoder().decode(given)).toBe(value)
  })

  it('is forgotten at the end of the block that used it', () => {
    let bytes: Uint8Array
    {
      using held = new Secret(value)
      bytes = held.revealBytes()
    }
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })
})
