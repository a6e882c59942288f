import { describe, expect, it } from 'vitest'
import { openPace } from './pace.ts'

describe('a server with very many accounts that are due', () => {
  it('costs each of them about the same, however many they are', () => {
    const perEntry = (count: number) => {
      const pace = openPace(() => 0)
      const begun = performance.now()
      for (let n = 0; n < count; n += 1) pace.enter('server', `acct-${n}`, 0)
      return (performance.now() - begun) / count
    }
    perEntry(9_000)
    expect(perEntry(40_000)).toBeLessThan(perEntry(9_000) * 20 + 0.02)
  })
})
