import type { OwnClient } from '#client'

type Values = Readonly<Record<string, string>>

/** What a person copies, and where to, in order to make a client of their own. */
export function guideLines({ redirectUri, scopes, ...guide }: OwnClient, told: Values = {}) {
  const { console, minutes, note } = guide
  return [
    minutes === null ? 'a client of your own:' : `a client of your own, made in about ${minutes} minutes:`,
    ...(console === null ? [] : [`  made at    ${console}`]),
    `  redirect   ${filledIn(redirectUri, told)}`,
    ...(scopes.length === 0 ? [] : [`  scopes     ${scopes.join(' ')}`]),
    ...(note === null ? [] : [`  ${note}`]),
  ]
}

/** What is not told yet keeps its name. */
function filledIn(redirectUri: string, told: Values): string {
  return redirectUri.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(told, name) ? (told[name] ?? whole).replace(/^https?:\/\//, '') : whole,
  )
}
