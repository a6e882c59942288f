import { openNotesServer } from './server.ts'

// The MCP server in a process of its own. Told a number, its tokens live so many seconds from then on; and no
// number ends all that was granted.

const server = await openNotesServer()
process.on('message', (seconds: number | 'end') => {
  const { authorization, shown } = server
  if (seconds === 'end') authorization.endGrants()
  else authorization.accessSeconds = seconds
  process.send?.({ counts: authorization.counts, shown })
})
process.on('SIGTERM', () => void server.close().then(() => process.exit()))
process.once('disconnect', () => process.exit())
process.send?.({ url: server.url.href, issuer: server.authorization.issuer })
