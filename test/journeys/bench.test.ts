import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { report, size } from '../figures.ts'

const DOORS = fileURLToPath(new URL('../../bench/doors.ts', import.meta.url))
const STREAMS_CUT = /revoke to last served byte: ([\d.]+) ms at most, of (\d+) times/
const COMPARED = [
  'warm lend, framed of bare framed echo',
  'warm lend, HTTP of bare framed echo',
  'gateway of bare undici.stream proxy',
  'gateway of direct',
]

describe('the bench of the doors', { timeout: size(120_000, 900_000) }, () => {
  it('measures each door beside a bare server, and how soon a revocation is felt', async () => {
    const small = size(1, 0) === 1 ? ['--small'] : []
    const bench = spawn(process.execPath, [DOORS, ...small], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said, [code]] = await Promise.all([text(bench.stdout), once(bench, 'exit')])
    expect(code).toBe(0)
    const figures = said.split('\n').filter((line) => line.startsWith('figure: '))
    for (const what of COMPARED) {
      const line = figures.find((one) => one.startsWith(`figure: ${what}: `))
      expect(line).toMatch(/p50 \d+\.\d\d .* p99 \d+\.\d\d .* rate \d+\.\d\d /)
    }
    const [, longest = '', times = ''] = STREAMS_CUT.exec(said) ?? []
    report(
      'milliseconds from a revocation to the last byte served',
      longest,
      Number(times),
      '20 streams each',
    )
    // Beside other tests every process waits for its turn.
    expect(Number(longest)).toBeLessThanOrEqual(size(500, 100))
  })
})
