import { describe, it } from 'vitest'
import { type SocketFacts, socketContract } from '../src/testing/socket-contract.ts'

// Holds any server of the framed protocol to the contract:
//   VALETKEY_SOCKET_UNDER_TEST=/path/to/it vitest run test/socket-under-test.test.ts
// What is known of it besides its path may be told as JSON, in VALETKEY_SOCKET_FACTS.

const path = process.env['VALETKEY_SOCKET_UNDER_TEST']
const facts = process.env['VALETKEY_SOCKET_FACTS'] ?? '{}'

if (path === undefined)
  describe('a socket under test', () => {
    it.skip('keeps the socket contract (skipped: VALETKEY_SOCKET_UNDER_TEST names none)', () => {})
  })
else socketContract(path, { ...(JSON.parse(facts) as Omit<SocketFacts, 'path'>), path })
