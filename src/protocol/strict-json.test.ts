import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { strictJson, strictObject } from './strict-json.ts'

describe('[security 10.3] strict JSON', () => {
  it('is read like any other, whatever it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1)
        expect(strictJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('is refused when any name in it is said twice, however deep and however spelled', () => {
    const name = fc.string({ minLength: 1 })
    fc.assert(
      fc.property(
        name,
        fc.jsonValue(),
        fc.array(fc.constantFrom('[%]', '{"a":%}', '[1,%,{"b":[]}]')),
        (twin, value, layers) => {
          const spelled = `"${[...twin].map((one) => [...one].map(escaped).join('')).join('')}"`
          const inner = `{${JSON.stringify(twin)}:1,"other ${JSON.stringify(twin).slice(1)}:${JSON.stringify(value)},${spelled}:2}`
          const text = layers.reduce((inside, layer) => layer.replace('%', () => inside), inner)
          expect(() => JSON.parse(text)).not.toThrow()
          expect(() => strictJson(text)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
        },
      ),
    )
  })

  it('takes the same name in two objects, and as a value', () => {
    const text = '[{"a":"a"},{"a":{"a":[{"a":"\\"a\\":1,"}]}}]'
    expect(strictJson(text)).toEqual(JSON.parse(text))
  })

  it.each(['', '\ufeff{}', '{', '{"a":1}x', "{'a':1}", 'undefined', '{"a":1,}', 'NaN'])(
    'is not %j',
    (text) => {
      expect(() => strictJson(text)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
    },
  )

  it('quotes nothing of what it refuses', () => {
    for (const text of ['{"secret":"s3cr3t"', '{"s3cr3t":1,"s3cr3t":2}', '"s3cr3t"'])
      expect(() => strictObject(text)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('s3cr3t') }),
      )
  })

  it('is an object where one is needed', () => {
    for (const text of ['null', '[]', '"a"', '1'])
      expect(() => strictObject(text)).toThrow('not a JSON object')
    expect(strictObject('{"__proto__":{"a":1}}')).not.toHaveProperty('a')
  })
})

function escaped(unit: string): string {
  return Array.from(
    { length: unit.length },
    (_, i) => `\\u${unit.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('')
}
