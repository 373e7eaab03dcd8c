// The choice between light and dark, kept in this browser; the system's until something is chosen.

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

/** Makes the button work and takes the choice of an earlier page. */
export function theme() {
  const kept = localStorage.getItem(KEY)
  if (kept === "light" || kept === "dark") root.dataset.theme = kept
  const button = /** @type {HTMLButtonElement} */ (document.getElementById("theme"))
  button.hidden = false
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark"
    localStorage.setItem(KEY, root.dataset.theme)
    for (const redraw of watching) redraw()
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const redraw of watching) redraw()
  })
}
