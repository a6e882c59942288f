import { describe, expect, it } from 'vitest'
import { scan } from '../../../test/camera.ts'
import { codeInWords } from './code-in-words.ts'
import { session } from './test-stage.ts'

const STEP = {
  ask: 'enter-code',
  code: 'WDJB-MJHT',
  at: 'https://example.com/device',
  device: 'Valetkey on ada-laptop',
  until: '2027-03-01T12:10:00.000Z',
} as const

const plain = (_: unknown, text: string) => text
const shown = (step: object = {}, width: number | undefined = 80, interactive = true) =>
  codeInWords(session({ bucket: 'work' }), { ...STEP, ...step }, { interactive, width, paint: plain })

const SIDE = 4
const isBlock = (line: string) => /[█▀▄]/.test(line)

/** As a camera sees it: blocks are light, the rest is the dark ground of a terminal. */
function scanned(lines: readonly string[]): string | undefined {
  const rows = lines.filter(isBlock).flatMap((line) => [halves(line, '█▀'), halves(line, '█▄')])
  const [width, height] = [Math.max(...rows.map((row) => row.length)), rows.length]
  const pixels = new Uint8ClampedArray(width * height * SIDE * SIDE * 4)
  for (let y = 0; y < height * SIDE; y += 1)
    for (let x = 0; x < width * SIDE; x += 1) {
      const isLight = rows[Math.floor(y / SIDE)]?.[Math.floor(x / SIDE)] ?? false
      pixels.set(isLight ? [255, 255, 255, 255] : [0, 0, 0, 255], (y * width * SIDE + x) * 4)
    }
  return scan(pixels, width * SIDE, height * SIDE)
}

function halves(line: string, lit: string): readonly boolean[] {
  return [...line].map((sign) => lit.includes(sign))
}

describe('a code that is entered elsewhere', () => {
  it('[security 5.4] is shown with where it is entered, what it connects, and who asks with it', () => {
    expect(shown().filter((line) => line !== '' && !isBlock(line))).toEqual([
      'enter the code WDJB-MJHT at https://example.com/device',
      '  this connects openai/work to Valetkey on ada-laptop',
      '  enter it only if you began this yourself: nobody else has a reason to send you a code',
    ])
  })

  it('[security 5.4] is in words also where a picture leads there with the code filled in', () => {
    const whole = 'https://example.com/device?user_code=WDJB-MJHT'
    const lines = shown({ whole })
    expect(scanned(lines)).toBe(whole)
    expect(lines.join('\n')).toContain('WDJB-MJHT at https://example.com/device')
  })

  it('is a picture of the address alone where the provider fills in nothing', () => {
    expect(scanned(shown())).toBe('https://example.com/device')
  })

  it.each([
    ['a terminal that is too narrow', 30, true],
    ['one whose width nobody knows', undefined, true],
    ['no terminal at all', 200, false],
  ])('is no picture for %s', (_, width, interactive) => {
    const lines = codeInWords(session(), STEP, { interactive, width, paint: plain })
    expect(lines.filter(isBlock)).toEqual([])
    expect(lines[0]).toContain('WDJB-MJHT')
  })
})
