import { prepare } from './prepare.mjs'

prepare()
const { buildClient, buildValetkey } = await import('./build-packages.mjs')
await buildClient()
if (!process.argv.includes('client')) await buildValetkey()
