import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { BIN, type RealHome } from './real.ts'

/** Why no terminal can be played here, if so. */
export const noTerminal =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true
    ? undefined
    : 'not run: there is no script of util-linux here to make a terminal with'

/** The command as a person runs it: at a terminal, and on a computer without a browser. */
export interface Typed {
  /** All that stands in the terminal, without what only moves and colours. */
  said(): string
  type(text: string): void
  code(): Promise<number | null>
}

export function typeCommand(home: RealHome, args: readonly string[]): Typed {
  const words = [process.execPath, BIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  const child = spawn('script', ['-qec', `stty cols 240 rows 40 && exec ${words.join(' ')}`, '/dev/null'], {
    env: { ...home.env, TERM: 'xterm', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  home.own(child)
  // Not its exit: what it said last may come after that.
  const over = once(child, 'close').then(([code]) => code as number | null)
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  return {
    said: () => said.replaceAll(MOVES, '').replaceAll('\r', ''),
    type: (text) => void child.stdin.write(`${text}\r`),
    code: () => over,
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is told by just these
const MOVES = /\u001b\[[0-9;?]*[A-Za-z]/g
