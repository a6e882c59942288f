import { LIVES } from '../choices.ts'
import type { Counts } from '../counts.ts'
import type { LivingGrant } from '../grants.ts'
import { OUTAGE_SECONDS } from '../outage.ts'
import type { Program } from '../stage.ts'
import { html, type Markup } from './html.ts'
import { type Page, page } from './page.ts'

export interface Situation {
  readonly grants: readonly LivingGrant[]
  readonly counts: Counts
  readonly program: Program
  /** Zero while the provider is up. */
  readonly downFor: number
  readonly now: Date
}

const IN_WORDS: Readonly<Record<keyof Counts, string>> = {
  authorizations: 'Sign-ins begun',
  allowed: 'Allowed',
  denied: 'Denied',
  tokens: 'Tokens given',
  refreshes: 'Refreshes',
  refused: 'Refused',
  userinfos: 'Profiles read',
  revocations: 'Revocations',
  introspections: 'Introspections',
  registrations: 'Clients registered',
  devices: 'Device codes given',
  polls: 'Devices asked',
  hurried: 'Asked too soon',
  belated: 'Asked when over',
  slowed: 'Told to slow down',
  unavailable: 'Met while down',
}

export function controlPage({ grants, counts, program, downFor, now }: Situation): Page {
  const newestFirst = grants.toReversed()
  return page({
    title: 'Control',
    ...(downFor > 0 ? { againAfter: downFor } : {}),
    body: html`<section class="card state ${downFor > 0 ? 'down' : 'up'}">${downFor > 0 ? down(downFor) : UP}</section>
<section class="card"><h2 class="title">Grants alive</h2>
${grants.length === 0 ? NONE : html`<p class="soft">Revoke one as its provider would: the next refresh is refused.</p><ul class="grants">${newestFirst.map((grant) => shown(grant, now))}</ul>`}
</section>
<section class="card"><h2 class="title">A program of its own</h2>
<p class="soft">For signing in as a program, with nobody behind it. The secret is another one at each start.</p>
<dl class="client"><div><dt>Client id</dt><dd><code>${program.clientId}</code></dd></div><div><dt>Client secret</dt><dd><code>${program.clientSecret}</code></dd></div></dl></section>
<section class="card"><h2 class="title">What was asked of it</h2><dl>${Object.entries(counts).map(count)}</dl>
<form class="below" method="post" action="/practice/slower"><button>Tell waiting devices to slow down</button></form></section>
<p class="back"><a href="/practice">Look again</a></p>`,
  })
}

const UP = html`<div><h1><span class="lamp"></span>Up</h1><small>Every endpoint answers.</small></div>
<form method="post" action="/practice/down"><button>Be down for ${OUTAGE_SECONDS} seconds</button></form>`

function down(seconds: number): Markup {
  return html`<div role="status"><h1><span class="lamp"></span>Down</h1><small>Every endpoint answers 503. Up again in ${counted(seconds, 'second')}.</small></div>`
}

const NONE = html`<p class="soft last">None yet. Connect the practice provider, and it is listed here.</p>`

function shown(grant: LivingGrant, now: Date): Markup {
  const { id, app, person, seconds, refreshable, rotates, refreshes, since } = grant
  const refreshTokens = rotates ? 'refresh tokens rotate' : 'refresh tokens stay'
  const manner = `tokens live ${LIVES.get(seconds)}, ${refreshable ? refreshTokens : 'no refresh token'}`
  return html`<li><div><b>${person.name}</b> to ${app}<small>${ago(since, now)}, ${times(refreshes)}</small><small>${manner}</small></div>
<form method="post" action="/practice/revoke"><button class="danger" name="grant" value="${id}" aria-label="Revoke now: ${person.name} to ${app}">Revoke now</button></form></li>`
}

function count([name, number]: readonly [string, number]): Markup {
  return html`<div><dt>${IN_WORDS[name as keyof Counts]}</dt><dd>${number}</dd></div>`
}

function ago(since: Date, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - since.getTime()) / 1000))
  if (seconds < 60) return 'just now'
  if (seconds < 3600) return `${counted(Math.floor(seconds / 60), 'minute')} ago`
  return `${counted(Math.floor(seconds / 3600), 'hour')} ago`
}

function times(number: number): string {
  if (number === 0) return 'never refreshed'
  return number === 1 ? 'refreshed once' : `refreshed ${number} times`
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
