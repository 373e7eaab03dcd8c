// Elements of a page.

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
 * Text that means itself inside of HTML.
 * @param {unknown} text
 */
export const plain = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

/**
 * A number with thin spaces between its thousands.
 * @param {number} value
 */
export const number = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f")

/**
 * What the server put into the page for its script.
 * @returns {any}
 */
export const data = () => JSON.parse($("data").textContent ?? "{}")

/**
 * Asks the server for JSON; a fault has the server's words.
 * @param {string} address
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<any>}
 */
export async function ask(address, signal = null) {
  const answer = await fetch(address, { signal })
  if (answer.ok) return answer.json()
  const said = await answer.json().catch(() => ({}))
  throw new Error(typeof said.detail === "string" ? said.detail : `the server answers ${answer.status}`)
}

/**
 * Keeps what was chosen in the address; what is empty is left out.
 * @param {Record<string, string | number | null | undefined>} chosen
 */
export function remember(chosen) {
  const kept = new URLSearchParams()
  for (const [name, value] of Object.entries(chosen)) if (value) kept.set(name, String(value))
  const query = kept.toString()
  history.replaceState(null, "", location.pathname + (query ? `?${query}` : ""))
  return location.pathname + location.search
}
