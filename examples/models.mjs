// Lists the models of the connected OpenAI account. The key stays where it is.
import { openValetkey } from 'valetkey'

const valetkey = await openValetkey()
const answer = await valetkey.fetch('openai')('https://api.openai.com/v1/models')
console.log(await answer.text())
await valetkey.close()
