// Loaded before the command: at every SIGUSR2 its clock jumps a minute ahead.

const JUMP_MS = 60_500
const realNow = Date.now
let ahead = 0

globalThis.Date = class extends Date {
  /** @param {ConstructorParameters<typeof Date>} given */
  constructor(...given) {
    super(...(given.length > 0 ? given : /** @type {[number]} */ ([realNow() + ahead])))
  }
  static now() {
    return realNow() + ahead
  }
}

process.on('SIGUSR2', () => {
  ahead += JUMP_MS
  process.stderr.write('later\n')
})
