import { describe, expect, it } from 'vitest'
import { cut, displayWidth, table } from './table.ts'

describe('columns', () => {
  it('are measured as a terminal shows them', () => {
    expect(displayWidth('abc')).toBe(3)
    expect(displayWidth('株式')).toBe(4)
    expect(displayWidth('e\u0301')).toBe(1)
    expect(displayWidth('👩‍👩‍👧')).toBe(2)
  })

  it('are cut with an ellipsis, never in the middle of a letter', () => {
    expect(cut('abcdef', 6)).toBe('abcdef')
    expect(cut('abcdef', 4)).toBe('abc…')
    expect(cut('株式会社', 4)).toBe('株…')
  })

  it('give way where the terminal is narrow, the widest first', () => {
    const rows = [
      ['id', 'what'],
      ['1', 'a long story that does not fit'],
    ]
    expect(table(rows, 20)).toEqual(['id  what', '1   a long story th…'])
    expect(table([['lease-0123456789', 'what']], 18)).toEqual(['lease-0123456789  what'])
    expect(table(rows)).toEqual(['id  what', '1   a long story that does not fit'])
  })
})
