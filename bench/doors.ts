import { availableParallelism } from 'node:os'
import { forwardings, IN_FLIGHT, inRounds, lendings, type Measured } from './lending.ts'
import { median } from './measure.ts'
import { lastByteAfterRevoke } from './revoking.ts'
import { openStage } from './stage.ts'

const small = process.argv.includes('--small')
const [ROUNDS, LENDS, FORWARDS, LONG, REVOKES] = small ? [1, 100, 50, 4, 1] : [9, 1200, 600, 24, 5]
const MEGABYTE = 1024 * 1024

function say(line = ''): void {
  process.stdout.write(`${line}\n`)
}

function of(round: readonly Measured[], name: string): Measured {
  const found = round.find((one) => one.name === name)
  if (found === undefined) throw new Error(`${name} was not measured`)
  return found
}

const two = (number: number) => number.toFixed(2)

/** The middle of all rounds, by one of them each. */
function table(all: readonly (readonly Measured[])[]): void {
  for (const { name } of all[0] ?? []) {
    const mid = (pick: (one: Measured) => number) => median(all.map((round) => pick(of(round, name))))
    const times = `p50 ${two(mid(({ times }) => times.p50))} ms, p99 ${two(mid(({ times }) => times.p99))} ms`
    say(
      `  ${name.padEnd(26)} ${times}, ${IN_FLIGHT} in flight: ${Math.round(mid(({ rate }) => rate))} a second`,
    )
  }
}

function ratio(
  all: readonly (readonly Measured[])[],
  one: string,
  other: string,
  pick: (one: Measured) => number,
) {
  const each = all.map((round) => pick(of(round, one)) / pick(of(round, other)))
  return `${two(median(each))} (${two(Math.min(...each))} to ${two(Math.max(...each))})`
}

function compared(all: readonly (readonly Measured[])[], one: string, other: string): void {
  const by = (pick: (one: Measured) => number) => ratio(all, one, other, pick)
  const p50 = by(({ times }) => times.p50)
  say(
    `figure: ${one} of ${other}: p50 ${p50}, p99 ${by(({ times }) => times.p99)}, rate ${by(({ rate }) => rate)}`,
  )
}

function added(all: readonly (readonly Measured[])[], one: string, other: string): void {
  const more = all.map((round) => of(round, one).times.p50 - of(round, other).times.p50)
  say(`figure: ${one} adds to ${other}, p50 at one connection: ${median(more).toFixed(3)} ms`)
}

say(
  `node ${process.version}, ${availableParallelism()} cores, audit on; ratios are medians of ${ROUNDS} rounds (least to most)`,
)
const stage = await openStage(process.argv.filter((word) => word.startsWith('--cpu-prof')))
try {
  say(`\nlending: ${LENDS} one by one, ${4 * LENDS} with ${IN_FLIGHT} in flight, in each round`)
  const lending = await lendings(stage)
  const lent = await inRounds(ROUNDS, LENDS, lending)
  for (const { close } of lending) close()
  table(lent)
  compared(lent, 'warm lend, framed', 'bare framed echo')
  compared(lent, 'warm lend, HTTP', 'bare framed echo')

  for (const [path, what, count] of [
    ['/small', '200 bytes', FORWARDS],
    ['/json', '200 bytes of JSON, which are looked through', FORWARDS],
    [`/long/${MEGABYTE}`, '1 MB', LONG],
  ] as const) {
    say(
      `\nforwarding answers of ${what}: ${count} one by one, ${4 * count} over ${IN_FLIGHT} connections, in each round`,
    )
    const forwarding = forwardings(stage, path)
    const forwarded = await inRounds(ROUNDS, count, forwarding)
    for (const { close } of forwarding) close()
    table(forwarded)
    compared(forwarded, 'gateway', 'bare undici.stream proxy')
    compared(forwarded, 'gateway', 'direct')
    // What a process in between costs by itself, on these cores.
    compared(forwarded, 'bare undici.stream proxy', 'direct')
    added(forwarded, 'gateway', 'direct')
    added(forwarded, 'gateway', 'bare undici.stream proxy')
  }

  const after = []
  for (let n = 0; n < REVOKES; n += 1) after.push(await lastByteAfterRevoke(stage))
  say(
    `\nfigure: revoke to last served byte: ${Math.max(...after).toFixed(1)} ms at most, of ${REVOKES} times 20 streams`,
  )
} finally {
  await stage.close()
}
