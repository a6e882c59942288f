import type { Command } from 'commander'
import type { Run } from './run.ts'

/** Gives a command its words, its options and its deed. */
export type Shape = (command: Command, run: Run) => void
