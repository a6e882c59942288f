// What is shown is `vk_<id>_<secret>`: the secret is 256 random bits in base64url.
const ID = '[a-z0-9]{8,40}'
const SECRET = '[A-Za-z0-9_-]{43}'
const WHOLE = new RegExp(`^vk_(${ID})_(${SECRET})$`)
const ANYWHERE = new RegExp(`vk_${ID}_${SECRET}`)

/** The halves of a key as it is shown; undefined for what is none. */
export function readKeyText(text: string): { readonly id: string; readonly secret: string } | undefined {
  const [, id, secret] = WHOLE.exec(text) ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}

export function writeKeyText(id: string, secret: string): string {
  return `vk_${id}_${secret}`
}

/** Meant as a key, whether it is one or not. */
export function isMeantAsKey(text: string): boolean {
  return text.startsWith('vk_')
}

/** Whether a whole key stands anywhere in a text: it goes to nobody but Valetkey. */
export function holdsKeyText(text: string): boolean {
  return ANYWHERE.test(text)
}
