import type { Caller } from './caller.ts'
import type { Desk, KeeperDesk } from './words.ts'

/** Who does it all. A door proves a caller, and works at that caller's desk. */
export interface Broker {
  as(caller: Caller): Desk
  keeper(caller: Caller): KeeperDesk
  close(): Promise<void>
}
