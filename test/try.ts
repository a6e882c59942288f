import { standIn } from '../src/testing/stand-in.ts'
import { ended, realHome, until } from './real.ts'
const t0 = performance.now()
const say = (w: string) => process.stdout.write(`${Math.round(performance.now() - t0)} ${w}\n`)
const [asked, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
const slow = await standIn({ 'GET /v1/models': async () => { asked.resolve(); await letGo.promise; return { body: { data: [] } } } }).listen()
const home = await realHome({ origins: { openai: slow.origin } })
home.start(['serve', '--no-page'])
await until(home.holder)
const w = home.start(['connect', 'openai', '--key-stdin'])
const a = home.start(['connect', 'openai', '--key-stdin'])
a.stdin?.end('sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaa')
await asked.promise
say('asked')
for (const c of [w, a]) c.kill('SIGINT')
for (const c of [w, a]) { c.stderr?.on('data', (d) => say(String(d))) }
say(String(await ended(w)))
say(String(await ended(a)))
letGo.resolve()
await until(async () => {
  const e = (await (await home.ask('/api/audit?limit=1000')).json()) as any[]
  say(JSON.stringify(e.filter((x) => x.verb === 'connect').map((x) => [x.seq, x.opened, x.outcome, x.code])))
  const closed = new Set(e.map(({ opened }) => opened))
  return e.filter((one) => one.verb === 'connect' && one.outcome === 'opened' && !closed.has(one.seq)).length === 0
}, 3).catch(() => say('never'))
await home.close(); await slow.close()
