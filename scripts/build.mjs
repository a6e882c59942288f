import { prepare } from './prepare.mjs'

prepare()
const { buildClient, buildValetkey } = await import('./build-packages.mjs')
try {
  await buildClient()
  if (!process.argv.includes('client')) await buildValetkey()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
