#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// The command, whether it was installed from a package (`dist` alone) or linked from a clone
// (`src` is there). It must be readable to an old Node, if only to be told so by it.

const OLDEST = 24
const source = new URL('../src/bin.ts', import.meta.url)
const inClone = existsSync(source)
const newEnough = Number.parseInt(process.versions.node, 10) >= OLDEST

if (!newEnough && inClone) await runOnTheNodeOfTheClone()
else if (!newEnough) refuse()
else if (inClone) await import(source.href)
else await runBuilt()

async function runBuilt() {
  const { enableCompileCache } = await import('node:module')
  enableCompileCache(await cacheFolder())
  await import(new URL('../dist/bin.js', import.meta.url).href)
}

/** Compiled code is run unseen, so it must not lie where another user could write, as in a shared `/tmp`. */
async function cacheFolder() {
  const { mkdirSync } = await import('node:fs')
  const { homedir } = await import('node:os')
  const { join } = await import('node:path')
  const { VALETKEY_HOME: moved, XDG_CACHE_HOME: caches } = process.env
  const folder = moved ? join(moved, 'cache') : join(caches || join(homedir(), '.cache'), 'valetkey')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch {
    // It goes without a cache where nothing can be written, and what needs a home says so itself.
  }
  return folder
}

async function runOnTheNodeOfTheClone() {
  const { spawn } = await import('node:child_process')
  const { constants } = await import('node:os')
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))
  if (!existsSync(node)) return refuse('npm start')
  const child = spawn(node, [fileURLToPath(source), ...process.argv.slice(2)], { stdio: 'inherit' })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGHUP', () => child.kill('SIGHUP'))
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0)
  })
}

function refuse(hint = 'install Node from https://nodejs.org') {
  process.stderr.write(
    `! valetkey needs Node ${OLDEST} or later; this is ${process.version}\n  hint: ${hint}\n`,
  )
  process.exitCode = 1
}
