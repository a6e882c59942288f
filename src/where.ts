import { homedir } from 'node:os'
import { type Paths, pathsOf } from './machine/paths.ts'

export interface Where {
  /** An app's vault lies apart from everybody else's. */
  readonly app?: string | undefined
  /** Moves everything; `VALETKEY_HOME` does the same. */
  readonly home?: string | undefined
  readonly env: NodeJS.ProcessEnv
}

export function wherePaths({ app, home, env }: Where): Paths {
  const moved = home === undefined ? env : { ...env, VALETKEY_HOME: home }
  const here = { env: moved, platform: process.platform, home: homedir(), uid: process.getuid?.() }
  return pathsOf(app === undefined ? here : { ...here, app })
}
