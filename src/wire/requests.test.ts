import { describe, expect, it } from 'vitest'
import { canary } from '../testing/canary.ts'
import {
  auditQuery,
  bindRequest,
  connectRequest,
  flowAnswer,
  readAuditQuery,
  readBind,
  readConnect,
  readFlowAnswer,
  readRekey,
  rekeyRequest,
} from './requests.ts'

describe('reading a request', () => {
  it('keeps the fields of a connect as secrets', () => {
    const key = canary('key')
    const read = readConnect(connectRequest.parse({ bucket: 'work', fields: { key } }), 'openai')
    expect(read.fields?.['key']?.reveal()).toBe(key)
    expect(read).toMatchObject({ provider: 'openai', bucket: 'work' })
    expect(JSON.stringify(read)).not.toContain(key)
  })

  it('leaves out what was not said, instead of saying undefined', () => {
    expect(Object.keys(readConnect({}))).toEqual([])
    expect(Object.keys(readAuditQuery(auditQuery.parse({ limit: '5' })))).toEqual(['limit'])
  })

  it('keeps a callback and a passphrase as secrets', () => {
    const [code, phrase] = [canary('callback'), canary('phrase')]
    const answer = readFlowAnswer(flowAnswer.parse({ callback: code }))
    expect('callback' in answer && answer.callback.reveal()).toBe(code)
    const rekey = readRekey(rekeyRequest.parse({ source: 'passphrase', passphrase: phrase }))
    expect(rekey.passphrase?.reveal()).toBe(phrase)
    expect(JSON.stringify([answer, rekey])).not.toMatch(/CANARY/)
  })

  it('reads times', () => {
    const until = '2026-12-01T00:00:00+01:00'
    const json = bindRequest.parse({ caller: 'app:x', address: 'github', may: ['lend'], until })
    expect(readBind(json).until).toEqual(new Date('2026-11-30T23:00:00Z'))
  })

  it.each([
    ['an unknown field', connectRequest, { bucket: 'a', provider: 'b' }],
    ['a field that is no text', connectRequest, { fields: { key: 7 } }],
    ['an unknown permission', bindRequest, { caller: 'app:x', address: 'a', may: ['own'] }],
    ['no permission at all', bindRequest, { caller: 'app:x', address: 'a', may: [] }],
    ['a time that is none', bindRequest, { caller: 'app:x', address: 'a', may: ['lend'], until: 'soon' }],
    ['both kinds of answer at once', flowAnswer, { fields: {}, callback: 'x' }],
    ['a source of keys that does not exist', rekeyRequest, { source: 'air' }],
    ['a limit of nothing', auditQuery, { limit: '0' }],
    ['an array', connectRequest, []],
    ['nothing', flowAnswer, null],
  ])('refuses %s', (_, schema, json) => {
    expect(schema.safeParse(json).success).toBe(false)
  })
})
