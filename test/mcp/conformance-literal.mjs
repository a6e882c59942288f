import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'

// The suite names its servers by `localhost`. Plain http goes to the literal address alone (RFC 8252 §7.3), so
// that is how they are named here; and its name for a client's document is given the port where ours is.
const SUITE = '/@modelcontextprotocol/conformance/dist/'
const DOCUMENT = 'https://conformance-test.local/client-metadata.json'

registerHooks({
  load(url, context, next) {
    if (!url.includes(SUITE)) return next(url, context)
    const source = readFileSync(fileURLToPath(url), 'utf8')
      .replaceAll('`http://localhost:$', '`http://127.0.0.1:$')
      .replaceAll(DOCUMENT, process.env['VALETKEY_CONFORMANCE_DOCUMENT'] ?? DOCUMENT)
    return { format: 'module', shortCircuit: true, source }
  },
})
