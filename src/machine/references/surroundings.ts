import type { Network } from '../../model/network.ts'

/** What a reading may make use of. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly network: Pick<Network, 'fetch'>
  readonly now: () => Date
}
