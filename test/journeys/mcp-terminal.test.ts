import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { visitorOf } from '../../src/practice/visitor.ts'
import { type NotesServer, openNotesServer } from '../mcp/server.ts'
import { BIN, type RealHome, realHome, until } from '../real.ts'
import { noTerminal, typeCommand } from '../terminal.ts'

let server: NotesServer
let home: RealHome

beforeAll(async () => {
  server = await openNotesServer({ path: '/api/mcp' })
  home = await realHome({ allow: [server.url.host, server.authorization.origin.host] })
})

afterAll(async () => {
  await home?.close()
  await server?.close()
})

beforeEach(({ skip }) => skip(noTerminal !== undefined, noTerminal))

const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'sh', version: '1' } }
const lines = (...messages: readonly object[]) =>
  messages.map((one) => `${JSON.stringify({ jsonrpc: '2.0', ...one })}\n`).join('')

/** What an agent would say first, and what it hears. */
async function talk(...words: readonly string[]) {
  const said = lines(
    { id: 1, method: 'initialize', params },
    { method: 'notifications/initialized' },
    { id: 2, method: 'tools/call', params: { name: 'whoami', arguments: {} } },
  )
  const { code, stdout, stderr } = await home.run(words, said)
  const heard = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return { code, stderr, heard }
}

describe('at the terminal', () => {
  it('connects an MCP server by its address, and says how agents reach it', async () => {
    const typed = typeCommand(home, ['connect', server.url.href, '--name', 'notes/work'])
    const link = new URL(await until(() => /^sign in at (\S+)$/m.exec(typed.said())?.[1]))
    const { url } = await visitorOf({ origin: server.authorization.origin }).open(link)
    expect(await (await fetch(url)).text()).toContain(`Connected to ${server.url.host}`)
    expect(await typed.code()).toBe(0)
    expect(typed.said()).toMatch(/^connected notes\/work/m)
    expect(typed.said()).toContain('valetkey mcp notes/work')
  }, 60_000)

  it('is that server on standard input and output, with nothing else there', async () => {
    const { code, stderr, heard } = await talk('mcp', 'notes/work')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(heard).toMatchObject([
      { id: 1, result: { serverInfo: { name: 'notes' } } },
      { id: 2, result: { content: [{ text: 'ada' }] } },
    ])
  }, 60_000)

  it('stands back to a lesser caller, who may no more than it was given', async () => {
    const refused = await talk('--as', 'app:notes', 'mcp', 'notes/work')
    expect(refused.heard).toMatchObject([
      { id: 1, error: { data: { code: 'not-connected' } } },
      { id: 2, error: { data: { code: 'not-connected' } } },
    ])
    await home.run(['bind', 'app:notes', 'notes/work', '--may', 'forward', '--asks', 'never'])
    const { heard } = await talk('--as', 'app:notes', 'mcp', 'notes/work')
    expect(heard.at(-1)).toMatchObject({ id: 2, result: { content: [{ text: 'ada' }] } })
  }, 60_000)

  it('is there in a sandbox that was allowed it, and nothing else is', async () => {
    const inside = ['sandbox', '--allow', 'notes/work:forward', '--', process.execPath, BIN, 'mcp']
    expect((await talk(...inside, 'notes/work')).heard.at(-1)).toMatchObject({
      id: 2,
      result: { content: [{ text: 'ada' }] },
    })
    expect((await talk(...inside, 'openai')).heard).toMatchObject([
      { id: 1, error: { data: { code: 'not-connected' } } },
      { id: 2, error: { data: { code: 'not-connected' } } },
    ])
  }, 60_000)

  it('ends by a signal at once', async () => {
    const child = home.start(['mcp', 'notes/work'])
    child.stdin?.write(lines({ id: 1, method: 'initialize', params }))
    await until(() => child.stdout?.readableLength || child.stdout?.read())
    const gone = until(() => child.exitCode ?? child.signalCode ?? undefined, 5)
    child.kill('SIGTERM')
    await gone
  }, 60_000)
})
