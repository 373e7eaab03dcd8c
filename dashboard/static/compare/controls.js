// The controls above and below the views say what is shown.

import { days, product } from "./data.js"
import { $, input, options, select, selects } from "./dom.js"
import { offer } from "./offers.js"
import { period, state } from "./state.js"

/** Brings all controls to the state. */
export function controls() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-mode]")))
    button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode))
  bands()
  const [low, high] = state.range ? state.range.split(",") : ["", ""]
  input("low").value = low
  input("high").value = high
  input("width").value = String(state.width)
  input("opacity").value = String(state.opacity)
  select("pattern").value = state.pattern
  const add = /** @type {HTMLButtonElement} */ ($("add"))
  add.disabled = state.views.length >= 4
  dates()
}

/** Choices of bands, where a view shows them. */
function bands() {
  const used = state.views.map((view) => view.layer)
  $("three").hidden = !used.some((name) => name === "rgb" || name === "toa-rgb")
  $("one").hidden = !used.some((name) => ["band", "toa-band", "difference"].includes(name))
  $("differences").hidden = !used.some((name) => name.startsWith("difference"))
  /** @type {[string, string][]} */
  const all = offer(state.views[0].product).bands.map((band) => [band, band.replace("_", " ")])
  const three = selects("three")
  state.bands.split(",").forEach((band, i) => {
    options(three[i], all, band)
  })
  options(selects("one")[0], all, state.band)
}

/** The left view's date among all, and those of the film. */
function dates() {
  const { day } = product(state.views[0].product)
  const film = period()
  input("day").value = String(days.indexOf(day))
  $("today").textContent = day
  select("since").value = film[0]
  select("until").value = film[film.length - 1]
  for (const bar of $("strip").querySelectorAll("button")) {
    bar.setAttribute("aria-current", String(bar.dataset.day === day))
    bar.classList.toggle("out", !film.includes(bar.dataset.day ?? ""))
  }
}
