import type { Caller, Proof } from './caller.ts'
import type { Gateway } from './gateway.ts'
import type { Secret } from './secret.ts'
import type { Desk, KeeperDesk } from './words.ts'

/** Who does it all. A door proves a caller, and works at that caller's desk. */
export interface Broker {
  as(caller: Caller): Desk
  keeper(caller: Caller): KeeperDesk
  /** The same requests as at the desk, on Node's streams. */
  gateway(caller: Caller): Gateway
  /** The caller that shows this key, where it is one of ours and lives. */
  recognise(key: Secret, proof: Proof): Promise<Caller | undefined>
  close(): Promise<void>
}
