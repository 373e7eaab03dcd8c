// Elements of the page.

/**
 * The element with an id. The page has all that are asked for.
 * @param {string} id
 */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id))

/** @type {(id: string) => HTMLInputElement} */
export const input = (id) => /** @type {HTMLInputElement} */ ($(id))

/** @type {(id: string) => HTMLSelectElement} */
export const select = (id) => /** @type {HTMLSelectElement} */ ($(id))

/**
 * Choices inside of an element.
 * @param {string} id
 */
export const selects = (id) => [...$(id).querySelectorAll("select")]

/**
 * The first element inside another that a CSS selector finds. It has to be there.
 * @param {ParentNode} parent
 * @param {string} selector
 */
export const inside = (parent, selector) => /** @type {HTMLElement} */ (parent.querySelector(selector))

/**
 * A new element; `attributes` are its properties, `style` as text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<Omit<HTMLElementTagNameMap[Tag], "style">> & {style?: string}} attributes
 * @param {(Node | string)[]} content
 */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag)
  Object.assign(element, attributes)
  element.append(...content)
  return element
}

/**
 * Gives a choice its options.
 * @param {HTMLSelectElement} choice
 * @param {[value: string, words: string][]} entries
 * @param {string} chosen
 */
export function options(choice, entries, chosen) {
  choice.replaceChildren(
    ...entries.map(([value, words]) => make("option", { value, textContent: words, selected: value === chosen })),
  )
}

/**
 * Text that means itself inside of HTML.
 * @param {unknown} text
 */
export const plain = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value))
