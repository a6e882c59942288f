import { describe, expect, it } from 'vitest'
import { broughtBack } from './brought-back.ts'

const LEFT = new URL(
  'https://sign.example.test/authorize?state=abc&redirect_uri=http%3A%2F%2F127.0.0.1%3A4000%2Fcb%3Fx%3D1',
)

describe('what was pasted after a sign-in', () => {
  it.each([
    ['a code alone', 'code-1', 'http://127.0.0.1:4000/cb?x=1&code=code-1&state=abc'],
    ['a code with its state', ' code-1#xyz\n', 'http://127.0.0.1:4000/cb?x=1&code=code-1&state=xyz'],
    ['a code with an empty state', 'code-1#', 'http://127.0.0.1:4000/cb?x=1&code=code-1&state='],
    ['the whole address', 'https://other.test/?code=c&state=s', 'https://other.test/?code=c&state=s'],
  ])('is read as the address the browser came to: %s', (_, pasted, address) => {
    expect(broughtBack(pasted, LEFT).href).toBe(address)
  })

  it('is a code of nowhere where the way out does not say where it leads back to', () => {
    expect(broughtBack('c', new URL('https://sign.example.test/')).href).toBe('http://127.0.0.1/?code=c')
  })
})
