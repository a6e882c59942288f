import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Desk, remoteDesk, ValetkeyError } from '#client'
import { httpDoor } from './doors/http/door.ts'
import { framedDoor } from './doors/socket/framed/door.ts'
import { FLOW_TYPES } from './doors/socket/framed/ops/flow-type.ts'
import { listenSocket, proofOf } from './doors/socket/listen.ts'
import { withFactories } from './flows/factory/providers.ts'
import { FIELDS, type FlowFactories } from './flows/factory/shapes.ts'
import { factoryFlow, type GoesOn } from './flows/factory.ts'
import { privateFolder } from './machine/folders.ts'
import { removeStale } from './machine/listen.ts'
import { peerOf } from './machine/peer.ts'
import { type Caller, type CallerId, THE_PERSON } from './model/caller.ts'
import { Secret } from './model/secret.ts'
import type { Desk as InnerDesk } from './model/words.ts'
import { type House, openHouse, USUAL } from './open.ts'
import { VERSION } from './version.ts'

export interface SocketDoorOptions {
  /** Sign-ins that this program brings along, by their provider. */
  readonly flowFactories?: FlowFactories
  /** The folder that the socket lies in; one of this user's own unless told. */
  readonly socketDir?: string
  /** What may be used by it. An empty list allows everything, as one that is left out. */
  readonly allowedProviders?: readonly string[]
  readonly allowedBuckets?: readonly string[]
  /** What has to be shown in the handshake, beside being able to reach the socket. */
  readonly capabilityToken?: string
  /** The app whose vault it is: the door holds it for as long as it is open, so two doors are two apps. */
  readonly app?: string
  readonly home?: string
}

export interface SocketDoor {
  /** Where it listens. Whoever is in a sandbox is told by VALETKEY_SOCKET. */
  readonly path: string
  /** The owner's own verbs, for the program that opened the door. */
  readonly desk: Desk
  close(): Promise<void>
}

/** By this name whoever comes in here is bound and stands on record. */
const SANDBOXED: CallerId = 'app:socket-door'
const USUAL_APP = 'socket-door'
const NAME = /^\d+-[0-9a-f]{16}\.sock$/

/**
 * A socket for sandboxed programs, over a vault in this process and over sign-ins that it brings along. Who
 * comes in there is lent what is allowed, may begin the sign-ins of it, and gets nothing that could renew it.
 */
export async function openSocketDoor(options: SocketDoorOptions): Promise<SocketDoor> {
  const { flowFactories = new Map(), app = USUAL_APP, home, capabilityToken: token } = options
  const where = { app: home === undefined ? app : options.app, home, env: withoutSocket(process.env) }
  const { broker, paths } = await openOwnHouse(where, {
    flows: [factoryFlow(flowFactories, goesOn), ...USUAL.flows],
    providers: (files) => withFactories(files, [...flowFactories.keys()]),
  })
  const frames = framedDoor({
    desk: (caller) => sandboxed(broker, caller),
    allowed: { providers: options.allowedProviders ?? [], buckets: options.allowedBuckets ?? [] },
    redirects: 'pkce_redirect',
    redirectField: FIELDS.redirect,
    offersNext: false,
    ...(token !== undefined && { token: new Secret(token) }),
  })
  const folder = resolve(options.socketDir ?? paths.run)
  const owner = ownerHere()
  try {
    await privateFolder(folder, { tighten: options.socketDir === undefined })
    await sweep(folder)
    const path = join(folder, `${process.pid}-${randomBytes(8).toString('hex')}.sock`)
    const listening = await listenSocket({ path, frames, identifyPeer: sandboxedPeer })
    return {
      path,
      desk: deskOf(broker, owner),
      async close() {
        await listening.close()
        frames.close()
        // Nothing to take away is as good.
        await broker
          .as(owner)
          .revokeCaller(SANDBOXED)
          .catch(() => undefined)
        await broker.close()
      },
    }
  } catch (error) {
    frames.close()
    await broker.close()
    throw error
  }
}

/**
 * The sign-ins are objects of this very program, and who comes in is told by the kernel to this process alone: so
 * it holds the vault itself, and joins nobody who has it.
 */
async function openOwnHouse(...parts: Parameters<typeof openHouse>): Promise<House> {
  try {
    return await openHouse(...parts)
  } catch (error) {
    if (!(error instanceof ValetkeyError && error.code === 'held')) throw error
    const hint = 'give this door a vault of its own, by another "app"'
    throw new ValetkeyError('held', error.message, { hint, cause: error })
  }
}

/** The socket of another broker is nothing to this one. */
function withoutSocket({ VALETKEY_SOCKET: _, LLXPRT_CREDENTIAL_SOCKET: __, ...env }: NodeJS.ProcessEnv) {
  return env
}

const goesOn: GoesOn = (provider, instance) => {
  const type = FLOW_TYPES.get(provider) ?? (instance.pollForToken ? 'device_code' : 'pkce_redirect')
  if (type === 'device_code') return 'device'
  return type === 'browser_redirect' ? 'browser' : 'paste'
}

/**
 * The owner allowed what the door lets through by opening it: its sign-ins are done in their name, and what it
 * is lent it is bound to when it first asks, so that it stands on record as what it is.
 */
function sandboxed(broker: House['broker'], caller: Caller): InnerDesk {
  const own = broker.as(caller)
  const owner = broker.as({ ...caller, id: THE_PERSON })
  const { connect, reconnect, flow, answer, cancel, accounts } = owner
  return {
    ...own,
    connect,
    reconnect,
    flow,
    answer,
    cancel,
    accounts,
    async lend(request) {
      try {
        return await own.lend(request)
      } catch (error) {
        if (!(error instanceof ValetkeyError) || error.code !== 'not-connected') throw error
        await owner.bind({ caller: caller.id, address: request.address, may: ['lend'], asks: 'never' })
        return own.lend(request)
      }
    },
  }
}

function sandboxedPeer(socket: Parameters<typeof peerOf>[0]): Caller | undefined {
  const peer = peerOf(socket)
  if (peer === undefined || peer.uid !== process.getuid?.()) return undefined
  return { id: SANDBOXED, owner: THE_PERSON, proof: proofOf(peer) }
}

function ownerHere(): Caller {
  const uid = process.getuid?.()
  const proof = { door: 'library', pid: process.pid, ...(uid !== undefined && { uid }) }
  return { id: THE_PERSON, owner: THE_PERSON, proof }
}

function deskOf(broker: House['broker'], caller: Caller): Desk {
  const identify = async () => caller
  const door = httpDoor({ desk: broker.as, keeper: broker.keeper, identify, version: VERSION })
  const fetch = (url: string | URL, init?: RequestInit) => door.fetch(new Request(url, init))
  return remoteDesk({ base: 'http://valetkey', fetch }).desk
}

/** What programs that died left behind. */
async function sweep(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((one) => NAME.test(one)))
    await removeStale(join(folder, name)).catch(() => undefined)
}
