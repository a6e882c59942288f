import { prepare } from './prepare.mjs'

prepare()
process.argv.splice(2, 0, 'serve', '--for', 'one')
await import('../bin/valetkey.mjs')
