import { openPractice } from '../../src/practice/practice.ts'

// A practice provider alone. It ends when it is told to, or when nobody is left to tell it.

const { behind, ...plain } = JSON.parse(process.argv[2] ?? '{}')
const { origin, port, close } = await openPractice({ ...plain, ...(behind && { behind: new URL(behind) }) })
process.send?.({ origin: origin.href, port })
for (const end of ['SIGTERM', 'disconnect'])
  process.once(end, () => void close().finally(() => process.exit()))
