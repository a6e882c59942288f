// Loaded before the command: at every SIGUSR2 its clock jumps a minute ahead.

const JUMP_MS = 60_500
const now = Date.now
let ahead = 0

const later = () => now() + ahead

globalThis.Date = new Proxy(Date, {
  construct: (date, given, as) => Reflect.construct(date, given.length > 0 ? given : [later()], as),
  get: (date, name, self) => (name === 'now' ? later : Reflect.get(date, name, self)),
})

process.on('SIGUSR2', () => {
  ahead += JUMP_MS
  process.stderr.write('later\n')
})
