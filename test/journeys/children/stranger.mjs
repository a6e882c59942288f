import { request } from 'node:http'

// Asks what it is told to ask, as whoever it is started as. It has nothing but what comes on stdin,
// since a stranger may be able to read nothing else.

/** @typedef {{ method: string, path: string, headers?: Record<string, string>, body?: string, socketPath?: string, port?: number }} Asked */
/** @typedef {{ status?: number, headers?: import('node:http').IncomingHttpHeaders, text?: string, error?: string }} Heard */

/** @param {Asked} asked @returns {Promise<Heard>} */
async function ask({ body, ...where }) {
  const { promise, resolve } = Promise.withResolvers()
  const host = where.socketPath === undefined ? '127.0.0.1' : 'valetkey'
  const asking = request({ host, agent: false, timeout: 5000, ...where }, async (answer) => {
    let text = ''
    for await (const chunk of answer) text += chunk
    resolve({ status: answer.statusCode, headers: answer.headers, text })
  })
  asking.on('error', (error) => resolve({ error: 'code' in error ? error.code : error.message }))
  asking.on('timeout', () => asking.destroy())
  asking.end(body)
  return promise
}

let told = ''
for await (const chunk of process.stdin) told += chunk
/** @type {{ uid: number | undefined, heard: Heard[] }} */
const said = { uid: process.getuid?.(), heard: [] }
for (const asked of JSON.parse(told)) said.heard.push(await ask(asked))
process.stdout.write(JSON.stringify(said))
