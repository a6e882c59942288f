import { createHash } from 'node:crypto'
import { readdir, rm, rmdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { basename, dirname, join, posix } from 'node:path'
import { ValetkeyError } from '#client'
import { passableFolder } from '../../machine/folders.ts'
import { removeStale } from '../../machine/listen.ts'
import { peerOf } from '../../machine/peer.ts'
import type { Caller, CallerId } from '../../model/caller.ts'
import type { SocketPlace, Sockets } from '../../model/sockets.ts'
import type { FramedDoor } from './framed/door.ts'
import { USUAL_LIMITS } from './framed/limits.ts'
import { listenSocket, proofOf, type SocketListening, type SocketOptions } from './listen.ts'

// Each place is a folder of its own with one socket in it, so that the folder can be mounted into a container
// and still leads to the socket of the next broker. Where only this user may come in the folder is 0700 and the
// socket 0600; where others are named they are 0711 and 0666, and the kernel says who is there.

/** Some systems take no more than 104 bytes for a socket's path, its closing zero included. */
const SOCKET_BYTES = 100
const SOCKET = 's'

export interface PlacesOptions extends Pick<SocketOptions, 'door' | 'forwarding'> {
  /** The folder of what lives only while a broker runs: `paths.run`. */
  readonly run: string
  readonly frames: FramedDoor
  /** Requests over HTTP in any one second of a connection, as of frames. */
  readonly rate?: number | undefined
}

export interface Places extends Sockets {
  /** The broker goes, and its callers do not: their places are taken up by the next one. */
  leave(): Promise<void>
}

/** The sockets of callers that are sockets. What dead brokers left behind is removed first. */
export async function openPlaces({
  run,
  rate = USUAL_LIMITS.rate,
  ...spoken
}: PlacesOptions): Promise<Places> {
  const folders = foldersFor(run)
  const opened = new Map<CallerId, Promise<SocketListening>>()
  for (const folder of folders.all) await sweep(folder)

  async function open(place: SocketPlace): Promise<SocketListening> {
    const isOpen = place.uids.some((uid) => uid !== process.getuid?.())
    const folder = isOpen ? folders.shared : folders.own
    if (isOpen) await passableFolder(dirname(folder))
    const path = join(`${folder}${digest(place.id)}`, SOCKET)
    const identifyPeer = (socket: Socket) => peerAt(place, socket)
    return listenSocket({ ...spoken, path, identifyPeer, open: isOpen, rate })
  }

  async function end(id: CallerId, how: 'close' | 'cut'): Promise<void> {
    const listening = await opened.get(id)?.catch(() => undefined)
    opened.delete(id)
    spoken.frames.forget(id)
    if (listening === undefined) return
    await listening[how]()
    await rmdir(dirname(listening.path)).catch(() => {})
  }

  return {
    async open(place) {
      if (opened.has(place.id)) throw new ValetkeyError('conflict', `${place.id} is listened for already`)
      const listening = open(place)
      opened.set(place.id, listening)
      listening.catch(() => opened.delete(place.id))
      return (await listening).path
    },
    close: (id) => end(id, 'cut'),
    async leave() {
      await Promise.all([...opened.keys()].map((id) => end(id, 'close')))
    },
  }
}

/** Nobody but who was named when it was made, and nobody where the kernel does not say. */
function peerAt(place: SocketPlace, socket: Socket): Caller | undefined {
  const peer = peerOf(socket)
  return peer !== undefined && place.uids.includes(peer.uid) ? place.as(proofOf(peer)) : undefined
}

/** What the folders of places begin with. Of other users' only those beside a home of ours are passable. */
function foldersFor(run: string) {
  const uid = process.getuid?.() ?? 'shared'
  const natural = join(run, 's', '-').slice(0, -1)
  const short = posix.join('/tmp', `valetkey-${uid}`, `${digest(run)}-`)
  const longest = Buffer.byteLength(join(`${natural}${digest('')}`, SOCKET))
  const own = longest <= SOCKET_BYTES ? natural : short
  const shared = posix.join('/tmp', `valetkey-${uid}-s`, `${digest(run)}-`)
  return { own, shared, all: [own, shared] }
}

/** Takes away every place at which nobody answers. */
async function sweep(beginning: string): Promise<void> {
  const [folder, start] = beginning.endsWith('/')
    ? [beginning, '']
    : [dirname(beginning), basename(beginning)]
  const found = await readdir(folder).catch(() => [])
  for (const name of found.filter((one) => one.startsWith(start))) {
    const place = join(folder, name)
    const gone = await removeStale(join(place, SOCKET)).then(
      () => true,
      () => false,
    )
    if (gone)
      await rm(join(place, `${SOCKET}.lock`), { force: true }).then(() => rmdir(place).catch(() => {}))
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
