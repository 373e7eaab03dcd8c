// @ts-check
// Light or dark: as the system, until the reader chooses; his choice is kept for all pages.

const KEPT = "muscate-theme"

/**
 * @typedef {object} Model
 * @property {boolean} dark
 * @property {(event: "dark", changed: () => void) => void} on
 */

const chosen = () => document.cookie.split("; ").some((one) => one.startsWith(`${KEPT}=`))

/** @param {{model: Model}} view */
export function render({ model }) {
  const system = matchMedia("(prefers-color-scheme: dark)")
  let following = false
  const follow = () => {
    if (chosen() || model.dark === system.matches) return
    following = true
    model.dark = system.matches
  }
  model.on("dark", () => {
    if (!following) document.cookie = `${KEPT}=${model.dark ? "dark" : "light"}; path=/; max-age=31536000; samesite=lax`
    following = false
  })
  system.addEventListener("change", follow)
  follow()
}
