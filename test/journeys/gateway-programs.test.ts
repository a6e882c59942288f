import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { runInNewContext } from 'node:vm'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { AzureOpenAI } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openValetkey } from '../../src/index.ts'
import { gatewayStage } from '../gateway-stage.ts'
import { leave } from '../leave.ts'

// Programs as they are, told another address and a key of ours in the place of the provider's.

const run = promisify(execFile)
const guide = readFileSync(new URL('../../docs/gateway.md', import.meta.url), 'utf8')
const ADDRESSES = ['openai', 'anthropic', 'azure-openai', 'github']

type Stage = Awaited<ReturnType<typeof gatewayStage>>

let stage: Stage
let repositories: string

beforeAll(async () => {
  repositories = await mkdtemp(join(tmpdir(), 'valetkey-'))
  stage = await gatewayStage(
    {
      '/v1/chat/completions': chat,
      '/openai/deployments/gpt/chat/completions': chat,
      '/v1/messages': message,
      '/repos/a/b': (_, response) => void response.end('{"full_name":"a/b"}'),
      ...Object.fromEntries(
        ['info/refs', 'git-upload-pack', 'git-receive-pack'].map((path) => [`/a.git/${path}`, git]),
      ),
    },
    ADDRESSES,
  )
}, 90_000)

afterAll(async () => {
  await stage?.close()
  await leave(repositories)
})

/** The code that stands in the guide under this name. */
function printed(name: string): string {
  const fence = '`'.repeat(3)
  const [, after = ''] = guide.split(`**${name}**`)
  const [, block = ''] = after.split(fence)
  return block.slice(block.indexOf('\n')).trim()
}

/** The client that it makes. */
function recipe<C>(name: string): C {
  return runInNewContext(printed(name), {
    OpenAI,
    AzureOpenAI,
    Anthropic,
    GATEWAY: stage.tcp,
    KEY: stage.key,
  })
}

const last = () => stage.there.got.at(-1)
const at = (address: string) => `${stage.tcp}/forward/${address}/default`

async function chat(_: IncomingMessage, response: ServerResponse, got: { body: () => string }) {
  await pause(5)
  const { stream } = JSON.parse(got.body()) as { stream?: boolean }
  const choice = { index: 0, finish_reason: null }
  if (!stream) {
    const choices = [{ ...choice, message: { role: 'assistant', content: 'good day' } }]
    response.writeHead(200, { 'content-type': 'application/json' })
    return response.end(JSON.stringify({ id: 'c1', object: 'chat.completion', choices }))
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const content of ['good', ' ', 'day']) {
    const piece = { id: 'c1', object: 'chat.completion.chunk', choices: [{ ...choice, delta: { content } }] }
    response.write(`data: ${JSON.stringify(piece)}\n\n`)
    await pause(10)
  }
  return response.end('data: [DONE]\n\n')
}

async function message(_: IncomingMessage, response: ServerResponse) {
  await pause(5)
  const events = [
    {
      type: 'message_start',
      message: { id: 'm1', type: 'message', role: 'assistant', content: [], usage: {} },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...['good', ' ', 'day'].map((text) => ({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'text_delta', text },
    })),
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
    { type: 'message_stop' },
  ]
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  response.end()
}

/** The server of git itself, as any web server runs it. */
function git(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'http://x')
  const env = {
    PATH: process.env['PATH'],
    GIT_PROJECT_ROOT: repositories,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: url.pathname,
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method,
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
    HTTP_GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    REMOTE_USER: 'somebody',
  }
  const backend = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] })
  request.pipe(backend.stdin)
  const pieces: Buffer[] = []
  backend.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  backend.stdout.on('end', () => {
    const all = Buffer.concat(pieces)
    const end = all.indexOf('\r\n\r\n')
    const lines = all.subarray(0, end).toString().split('\r\n')
    const headers = lines.map((line) => line.split(': ') as [string, string])
    const status = Number.parseInt(headers.find(([name]) => name === 'Status')?.[1] ?? '200', 10)
    response.writeHead(status, headers.filter(([name]) => name !== 'Status').flat())
    response.end(all.subarray(end + 4))
  })
}

describe('the OpenAI SDK', () => {
  const ask = { model: 'gpt', messages: [{ role: 'user' as const, content: 'say good day' }] }

  it('is told another base address and a key of ours', async () => {
    const openai = recipe<OpenAI>('OpenAI')
    const { choices } = await openai.chat.completions.create(ask)
    expect(choices[0]?.message.content).toBe('good day')
    let said = ''
    for await (const piece of await openai.chat.completions.create({ ...ask, stream: true }))
      said += piece.choices[0]?.delta.content ?? ''
    expect(said).toBe('good day')
    expect(last()).toMatchObject({ path: '/v1/chat/completions' })
    expect(last()?.headers['authorization']).toBe(`Bearer ${stage.secret}`)
  })

  it('is told to fetch by Valetkey, and knows no key at all', async () => {
    const valetkey = await openValetkey({ home: stage.home.home })
    const openai = new OpenAI({ apiKey: 'unused', fetch: valetkey.fetch('openai'), maxRetries: 0 })
    let said = ''
    for await (const piece of await openai.chat.completions.create({ ...ask, stream: true }))
      said += piece.choices[0]?.delta.content ?? ''
    expect(said).toBe('good day')
    await valetkey.close()
  })

  it('goes to Azure all the same, where the key has another header', async () => {
    const azure = recipe<AzureOpenAI>('Azure OpenAI')
    const { choices } = await azure.chat.completions.create(ask)
    expect(choices[0]?.message.content).toBe('good day')
    expect(last()?.path).toBe('/openai/deployments/gpt/chat/completions?api-version=2024-10-21')
    expect(last()?.headers['api-key']).not.toContain('vk_')
    expect(last()?.headers['api-key']).toMatch(/\w{8}/)
    expect(last()?.headers).not.toHaveProperty('authorization')
  })

  it('hears a refusal of ours like one of the provider', async () => {
    const openai = new OpenAI({ baseURL: `${at('openai')}/v1`, apiKey: 'vk_abcdefgh_wrong', maxRetries: 0 })
    await expect(openai.chat.completions.create(ask)).rejects.toMatchObject({ status: 401 })
  })
})

describe('the Anthropic SDK', () => {
  it('is told another base address and a key of ours, and hears every event as it comes', async () => {
    const anthropic = recipe<Anthropic>('Anthropic')
    const messages = [{ role: 'user' as const, content: 'say good day' }]
    const stream = anthropic.messages.stream({ model: 'claude', max_tokens: 10, messages })
    expect(await stream.finalText()).toBe('good day')
    expect(last()?.headers['x-api-key']).toMatch(/^sk-ant-/)
    expect(JSON.stringify(last()?.headers)).not.toContain('vk_')
  })
})

describe('GitHub', () => {
  it('is reached by its API’s address and a key in the way that its programs show theirs', async () => {
    const [line = ''] = printed("GitHub's API").split('\n')
    const env = { PATH: process.env['PATH'], GATEWAY: stage.tcp, KEY: stage.key }
    const { stdout: text } = await run('sh', ['-c', `${line.replace('/user"', '/repos/a/b"')} --silent`], {
      env,
    })
    expect(text).toBe('{"full_name":"a/b"}')
    expect(last()?.headers['authorization']).toMatch(/^Bearer ghp_/)
  })
})

describe('git', () => {
  it('clones, fetches and pushes', async () => {
    const env = { PATH: process.env['PATH'], HOME: repositories, GIT_TERMINAL_PROMPT: '0' }
    const by = (...args: string[]) => run('git', args, { env })
    await by('init', '--bare', '-q', '-b', 'main', join(repositories, 'a.git'))
    await by('-C', join(repositories, 'a.git'), 'config', 'http.receivepack', 'true')
    const copy = join(repositories, 'copy')
    const key = `http.extraHeader=Authorization: Basic ${Buffer.from(`x:${stage.key}`).toString('base64')}`
    const link = `${at('github')}/a.git`
    await by('-c', key, 'clone', '-q', link, copy)
    await writeFile(join(copy, 'large'), Buffer.alloc(3_000_000, 'a line of text\n'))
    const who = ['-c', 'user.name=x', '-c', 'user.email=x@x.test']
    await by('-C', copy, 'add', '.')
    await by('-C', copy, ...who, 'commit', '-q', '-m', 'one')
    await by('-C', copy, '-c', key, '-c', 'http.postBuffer=1000', 'push', '-q', 'origin', 'HEAD:main')
    const again = join(repositories, 'again')
    await by('-c', key, 'clone', '-q', link, again)
    expect((await by('-C', again, 'log', '--format=%s')).stdout).toBe('one\n')
    expect(last()?.headers['authorization']).toMatch(/^Bearer ghp_/)
  }, 30_000)
})
