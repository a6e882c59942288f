import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe } from 'vitest'
import { openTestHouse, type TestHouse } from '../../../../test/house.ts'
import { leave } from '../../../../test/leave.ts'
import { PRACTICE } from '../../../../test/practice.ts'
import { renewingFlow } from '../../../../test/renewing.ts'
import { apiKeyFlow } from '../../../flows/api-key.ts'
import { factoryFlow } from '../../../flows/factory.ts'
import { type OAuthFlowInterface, type SocketDoor, socketDoor } from '../../../index.ts'
import { THE_PERSON } from '../../../model/caller.ts'
import type { ProviderFile } from '../../../model/provider.ts'
import { Secret } from '../../../model/secret.ts'
import { canary } from '../../../testing/canary.ts'
import { socketContract } from '../../../testing/socket-contract.ts'
import { listenSocket, type SocketListening } from '../listen.ts'
import { openPlaces, type Places } from '../places.ts'
import { type FramedDoor, framedDoor } from './door.ts'

/** What is issued there hardly lives, so it is renewed each time, and that takes its time. */
const SLOW = { op: 'get_token', payload: { provider: 'slow' } }

const keyed = (id: string): ProviderFile => ({
  ...PRACTICE,
  id,
  name: id,
  signIns: [
    {
      flow: 'api-key',
      fields: [{ name: 'key', label: 'Key' }],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'key' }],
    },
  ],
})
const signing: ProviderFile = {
  ...PRACTICE,
  id: 'signing',
  name: 'Signing',
  signIns: [
    {
      flow: 'factory',
      fields: [{ name: 'accessToken', label: 'Access token' }],
      present: [{ header: 'authorization', prefix: 'Bearer ', field: 'accessToken' }],
    },
  ],
}

let house: TestHouse
let folder: string
let frames: FramedDoor

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const quick = renewingFlow()
  const late = renewingFlow()
  late.upstream.lifeSeconds = 1
  late.upstream.meanwhile = () => pause(700)
  const device = () => ({
    device_code: canary('device'),
    verification_uri: 'https://sign.example.test/',
    expires_in: 600,
  })
  const factory = factoryFlow(
    new Map([['signing', () => ({ initiateDeviceFlow: async () => device() })]]),
    () => 'paste',
  )
  const [signIn] = PRACTICE.signIns
  const slow = { ...PRACTICE, id: 'slow', name: 'Slow', signIns: [{ ...signIn, flow: 'late' }] }
  house = await openTestHouse({
    flows: [quick.flow, { ...late.flow, id: 'late' }, apiKeyFlow, factory],
    providers: [PRACTICE, slow, keyed('keyed'), keyed('hidden'), keyed('strange'), signing],
  } as Parameters<typeof openTestHouse>[0])
  const { owner } = house
  for (const provider of ['practice', 'slow']) await owner.connect({ provider })
  for (const provider of ['keyed', 'hidden', 'strange'])
    await owner.connect({ provider, fields: { key: new Secret(canary('key')) } })
  await owner.bind({ caller: THE_PERSON, address: 'keyed', may: ['reveal'], asks: 'never' })
  frames = framedDoor({ desk: house.broker.as })
})

afterAll(async () => {
  frames.close()
  await house.close()
  await leave(folder)
})

const COMMON = {
  lent: { provider: 'practice' },
  key: 'keyed',
  forwardedKey: 'hidden',
  slow: SLOW,
} as const

describe('the owner’s socket', () => {
  let listening: SocketListening
  beforeAll(async () => {
    listening = await listenSocket({ path: join(folder, 'o', 's'), frames })
  })
  afterAll(() => listening.close())
  socketContract('the owner’s socket', {
    ...COMMON,
    path: () => listening.path,
    sandboxed: false,
    rate: null,
    signIn: 'signing',
    keyOnly: 'hidden',
  })
})

describe('the socket of a sandbox', () => {
  let places: Places
  let path: string
  beforeAll(async () => {
    places = await openPlaces({ run: join(folder, 'r'), frames })
    await house.broker.listenAt(places)
    const { key } = await house.owner.narrow({
      kind: 'socket',
      grants: [
        { address: 'practice', may: ['lend'] },
        { address: 'slow', may: ['lend'] },
        { address: 'keyed', may: ['forward', 'reveal'] },
        { address: 'hidden', may: ['forward'] },
        { address: 'signing', may: ['connect', 'lend'] },
      ],
    })
    path = key.socket ?? ''
  })
  afterAll(() => places.leave())
  socketContract('the socket of a sandbox', {
    ...COMMON,
    path: () => path,
    sandboxed: true,
    rate: 60,
    strange: 'strange',
    signIn: 'signing',
  })
})

describe('a door over sign-ins that a program brings along', () => {
  const token = canary('capability')
  let door: SocketDoor
  beforeAll(async () => {
    const initiateDeviceFlow = async () => ({
      device_code: canary('device'),
      user_code: 'ABCD',
      verification_uri: 'https://sign.example.test/',
      interval: 5,
      expires_in: 600,
    })
    const issued = (seconds = 3600) => ({
      access_token: canary('token'),
      refresh_token: canary('refresh'),
      expiry: Math.floor(Date.now() / 1000) + seconds,
    })
    const slowly = async () => {
      await pause(700)
      return issued(2)
    }
    const flowFactories = new Map<string, () => OAuthFlowInterface>([
      ['qwen', () => ({ initiateDeviceFlow, pollForToken: () => new Promise<never>(() => {}) })],
      ['lent', () => ({ initiateDeviceFlow, refreshToken: async () => issued() })],
      ['slow', () => ({ initiateDeviceFlow, refreshToken: slowly })],
    ])
    door = await socketDoor({
      home: join(folder, 'd'),
      socketDir: join(folder, 'ds'),
      flowFactories,
      allowedProviders: ['qwen', 'lent', 'slow', 'openai', 'azure-openai'],
      capabilityToken: token,
    })
    for (const [provider, seconds] of [
      ['lent', 3600],
      ['slow', 2],
    ] as const)
      await door.desk.connect({ provider, insist: true, fields: { issued: JSON.stringify(issued(seconds)) } })
    for (const [bucket, may] of [
      ['default', 'reveal'],
      ['work', 'forward'],
    ] as const) {
      const openai = { provider: 'openai', bucket, fields: { key: `sk-${canary('key')}` } }
      await door.desk.connect({ ...openai, insist: true })
      const bound = { caller: 'app:socket-door', address: `openai/${bucket}`, asks: 'never' } as const
      await door.desk.bind({ ...bound, may: [may] })
    }
  })
  afterAll(() => door.close())
  socketContract('a door over sign-ins that a program brings along', {
    path: () => door.path,
    capabilityToken: () => token,
    sandboxed: true,
    rate: 60,
    strange: 'anthropic',
    lent: { provider: 'lent' },
    slow: SLOW,
    key: 'openai',
    forwardedKey: 'openai/work',
    signIn: 'qwen',
    keyOnly: 'azure-openai',
  })
})
