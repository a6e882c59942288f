/** One sheet for every page; it stands in the page itself, allowed by its digest. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f3f4f7; --card: #fff; --ink: #1b1f24; --soft: #58616d; --line: #d8dce3; --edge: #8791a0;
  --accent: #2c5cc9; --accent-ink: #fff; --wash: #edf2fe; --danger: #a8281f; --danger-wash: #fdefee;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #101318; --card: #191d23; --ink: #e7eaee; --soft: #a2acb9; --line: #323943; --edge: #76808e;
    --accent: #8fb3ff; --accent-ink: #0a1a3c; --wash: #1d2840; --danger: #ffa39b; --danger-wash: #3a1f1e;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100% }
main { max-width: 34rem; margin: 0 auto; padding: 2.5rem 1rem 3rem }
header { display: flex; align-items: center; gap: .75rem; margin: 0 .25rem 1.25rem }
header b { display: block; line-height: 1.3 }
small { font-size: .875rem; color: var(--soft) }
.mark { flex: none; width: 2.25rem; height: 2.25rem; border-radius: .625rem; background: var(--accent); position: relative }
.mark::before { content: ''; position: absolute; left: .5rem; top: .75rem; width: .75rem; height: .75rem; border-radius: 50%; border: .2rem solid var(--accent-ink) }
.mark::after { content: ''; position: absolute; left: 1.2rem; top: 1.025rem; width: .6rem; height: .35rem; border: solid var(--accent-ink); border-width: .2rem .2rem 0 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .875rem; padding: 1.5rem; margin: 0 0 1rem }
h1, .title { font-size: 1.3125rem; line-height: 1.3; margin: 0 0 .375rem; text-wrap: balance; overflow-wrap: anywhere }
h2 { font-size: 1rem; margin: 0 0 .5rem }
p { margin: 0 0 1rem; overflow-wrap: anywhere }
p, li, small { text-wrap: pretty }
.soft { color: var(--soft) }
.last { margin-bottom: 0 }
fieldset { border: 0; margin: 1.5rem 0 0; padding: 0; min-width: 0 }
legend { padding: 0; font-weight: 600; margin-bottom: .5rem }
ul { list-style: none; margin: 0; padding: 0 }
.asked { margin-top: 1.25rem; padding-top: 1.25rem; border-top: 1px solid var(--line) }
.asked li { padding-left: 1.5rem; position: relative; margin-top: .25rem }
.asked li::before { content: ''; position: absolute; left: .25rem; top: .3rem; width: .3rem; height: .6rem; border: solid var(--accent); border-width: 0 .14rem .14rem 0; transform: rotate(45deg) }
.choices { display: grid; gap: .5rem }
.two { grid-template-columns: repeat(2, minmax(0, 1fr)) }
.four { grid-template-columns: repeat(4, minmax(0, 1fr)) }
.choices label, .tick { display: flex; align-items: center; cursor: pointer }
.choices label { position: relative; gap: .625rem; min-height: 2.75rem; padding: .5rem .75rem; border: 1px solid var(--edge); border-radius: .625rem }
.four label { justify-content: center; text-align: center; padding: .5rem .25rem; white-space: nowrap; font-size: .9375rem }
.choices input { position: absolute; inset: 0; opacity: 0; width: 100%; height: 100%; margin: 0; cursor: pointer }
.choices label:has(:checked) { border-color: var(--accent); background: var(--wash); box-shadow: inset 0 0 0 1px var(--accent) }
.choices label:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px }
.face { flex: none; display: grid; place-items: center; width: 2rem; height: 2rem; border-radius: 50%; background: var(--soft); color: var(--card); font-weight: 600 }
label:has(:checked) .face { background: var(--accent); color: var(--accent-ink) }
.who { min-width: 0; line-height: 1.25 }
.who small { display: block; overflow: hidden; text-overflow: ellipsis }
.tick { gap: .625rem; align-items: flex-start }
.tick input { flex: none; width: 1.125rem; height: 1.125rem; margin: .2rem 0 0; accent-color: var(--accent) }
.tick small { display: block }
.deeds { display: grid; grid-template-columns: 1fr 1fr; gap: .625rem; margin-top: 1.75rem }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1rem; border-radius: .625rem; border: 1px solid var(--edge); background: var(--card); color: var(--ink); cursor: pointer }
button:hover { background: var(--wash) }
button.main { border-color: var(--accent); background: var(--accent); color: var(--accent-ink) }
button.main:hover { filter: brightness(1.08) }
button.danger { color: var(--danger); border-color: currentColor }
button.danger:hover { background: var(--danger-wash) }
input[name=user_code]:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px }
button:focus-visible, a:focus-visible, .tick input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.back { text-align: center; margin: 1rem 0 0 }
code { font: .9375em ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere }
a { color: var(--accent) }
.state { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 1rem }
.state h1 { font-size: 1rem; margin: 0 }
.lamp { display: inline-block; width: .625rem; height: .625rem; border-radius: 50%; background: #23863f; margin-right: .5rem }
.down .lamp { background: var(--danger) }
.grants > li { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .75rem; padding: .875rem 0; border-top: 1px solid var(--line) }
.grants > li:last-child { padding-bottom: 0 }
.grants div { flex: 1 1 10rem; min-width: 0; overflow-wrap: anywhere }
.grants small { display: block }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.25rem, 1fr)); gap: .875rem 1rem; margin: .875rem 0 0 }
.client { grid-template-columns: 1fr }
.below { margin-top: 1.25rem }
dt { font-size: .875rem; color: var(--soft) }
dd { margin: 0; font-size: 1.25rem; line-height: 1.3; font-variant-numeric: tabular-nums }
input[name=user_code] { font: 1.375rem ui-monospace, Menlo, monospace; letter-spacing: .1em; text-transform: uppercase; width: 100%; padding: .625rem .75rem; margin-bottom: 1rem; border: 1px solid var(--edge); border-radius: .625rem; background: var(--card); color: var(--ink) }
input[name=user_code]::placeholder { text-transform: none; letter-spacing: 0; color: var(--soft) }
.code { font-size: 1.75rem; letter-spacing: .1em; text-align: center; margin: 1.25rem 0 }
@media (max-width: 27rem) {
  main { padding-top: 1.25rem }
  .card { padding: 1.25rem 1rem }
  .two { grid-template-columns: 1fr }
  .four { grid-template-columns: 1fr 1fr }
}
`
