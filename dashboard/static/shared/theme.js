// The choice between light and dark, kept for all pages, which take it in chosen.js; the system's until then.

const KEY = "muscate-theme"
const root = document.documentElement
/** @type {(() => void)[]} */
const watching = []

/** @param {() => void} redraw */
export const onTheme = (redraw) => watching.push(redraw)

/** A colour of the styles, as it is now. @param {string} name */
export const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim()

/** Whether the page is dark. */
export function dark() {
  const chosen = root.dataset.theme
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches
}

/** Makes the button work. */
export function theme() {
  const button = /** @type {HTMLButtonElement} */ (document.getElementById("theme"))
  button.hidden = false
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark"
    // biome-ignore lint/suspicious/noDocumentCookie: the pages and the server read it there
    document.cookie = `${KEY}=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`
    for (const redraw of watching) redraw()
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const redraw of watching) redraw()
  })
}
