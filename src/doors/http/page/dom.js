/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An element. Whatever was told by somebody else goes in as text or as the value of an attribute,
 * so there is nothing to escape.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | undefined | ((event: Event) => unknown)>} [props]
 * @param {...Child} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') node.addEventListener(name, value)
    else if (value !== undefined && value !== false)
      node.setAttribute(name, value === true ? '' : String(value))
  }
  node.append(...present(children))
  return node
}

/** @param {Element} node @param {...Child} children */
export function fill(node, ...children) {
  node.replaceChildren(...present(children))
}

/** @param {readonly Child[]} children @returns {(Node | string)[]} */
function present(children) {
  return children.filter((child) => child !== null && child !== undefined && child !== false)
}

/**
 * A link that leaves this page for another one. What is no web address is only shown.
 *
 * @param {string} address @param {string} text @param {string} [style]
 */
export function linkOut(address, text, style = '') {
  const { protocol } = new URL(address)
  if (protocol !== 'https:' && protocol !== 'http:') return el('span', {}, address)
  return el('a', { href: address, target: '_blank', rel: 'noopener noreferrer', class: style }, text)
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`no #${id}`)
  return found
}

const NOTICE_MS = 6000

/** @type {ReturnType<typeof setTimeout> | undefined} */
let clearing

/** Says something for a while, also to who does not see. @param {string} text */
export function announce(text) {
  clearTimeout(clearing)
  byId('notice').textContent = text
  clearing = setTimeout(() => byId('notice').replaceChildren(), NOTICE_MS)
}
