import assert from 'node:assert/strict'
import { type Desk, type ErrorCode, type FlowSession, type KeeperDesk, ValetkeyError } from '#client'
import type { CallerId } from '../../model/caller.ts'
import type { Check } from '../check.ts'
import type { DoorStage } from '../door-stage.ts'

/** The two desks of one caller, as whoever stands outside the door has them. */
export interface OpenedDoor {
  readonly desk: Desk
  readonly keeper: KeeperDesk
  /** The door knows its callers by a cookie alone, so it lets nobody take the vault away. */
  readonly byCookie?: true
  close?(): Promise<void>
}

/** What a story has to play with. */
export interface Play extends DoorStage {
  readonly owner: OpenedDoor
  /** The door as another caller of the same owner has it. */
  as(id: CallerId): Promise<OpenedDoor>
  /** The door as the owner has it whom a cookie let in, and not the kernel. */
  page(): Promise<OpenedDoor>
  /** Connects the provider, for the stories that begin after that. */
  connect(): Promise<FlowSession>
}

export type On = (name: string, story: (play: Play) => Promise<void>) => Check

/** A program of the owner's. */
export const APP: CallerId = 'app:reports'

export async function refusalOf(work: Promise<unknown>): Promise<ValetkeyError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ValetkeyError, `it was not refused in our own words: ${String(error)}`)
  return error
}

export async function refuses(work: Promise<unknown>, code: ErrorCode): Promise<ValetkeyError> {
  const refusal = await refusalOf(work)
  assert.equal(refusal.code, code, refusal.message)
  return refusal
}

export async function textOf(body: ReadableStream<Uint8Array> | null): Promise<string> {
  return new Response(body).text()
}
