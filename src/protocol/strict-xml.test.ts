import { describe, expect, it } from 'vitest'
import { strictXml } from './strict-xml.ts'

describe('an answer in XML', () => {
  it('is read by the names of its elements', () => {
    const text = `<?xml version="1.0"?>
      <AnswerResponse xmlns="https://sts.example.com/doc/">
        <AnswerResult><Arn> arn:aws:iam::1:user/a&amp;b </Arn><Empty/><Note><![CDATA[<as it is>]]></Note></AnswerResult>
      </AnswerResponse>`
    expect(strictXml(text)).toEqual({
      AnswerResponse: { AnswerResult: { Arn: 'arn:aws:iam::1:user/a&b', Empty: '', Note: '<as it is>' } },
    })
  })

  it('may be called like a part of every object', () => {
    const said = strictXml('<__proto__><polluted>yes</polluted></__proto__>')
    expect(Object.hasOwn(said, '__proto__')).toBe(true)
    expect('polluted' in {}).toBe(false)
  })

  it.each([
    ['a document type', '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'],
    ['a document type without entities', '<!DOCTYPE a><a>1</a>'],
    ['an entity that nobody declared', '<a>&lol;</a>'],
    ['the same element twice', '<a><Key>one</Key><Key>two</Key></a>'],
    ['two roots', '<a>1</a><b>2</b>'],
    ['an element that is not closed', '<a><b>1</b>'],
    ['an end of another element', '<a>1</b>'],
    ['text beside the root', '<a>1</a>2'],
    ['no element at all', ''],
    ['JSON', '{"a":1}'],
  ])('is refused with %s', (_, text) => {
    expect(() => strictXml(text)).toThrow(expect.objectContaining({ code: 'bad-answer' }))
  })
})
