// From date to date, and the film.

import { change } from "./change.js"
import { data, days, product } from "./data.js"
import { $, clamp } from "./dom.js"
import { complete } from "./drawing.js"
import { period, state } from "./state.js"

/** How long the film shows a date, at least. [ms] */
const SHOWN = 700

/** The left view's date. */
const today = () => product(state.views[0].product).day

/**
 * Every view goes to a date, each in its version where that has it.
 * @param {string} day
 */
export async function go(day) {
  for (const view of state.views) {
    const now = product(view.product)
    const there = data.products.filter((one) => one.day === day)
    view.product = (there.find((one) => one.version === now.version) ?? there[there.length - 1] ?? now).id
  }
  await change()
}

/**
 * Some dates on.
 * @param {number} by
 */
export const step = (by) => go(days[clamp(days.indexOf(today()) + by, 0, days.length - 1)])

/** The film that plays. @type {object | null} */
let film = null

/** Begins the film, or ends it. */
export async function play() {
  if (film) {
    film = null
    $("play").textContent = "▶ Film"
    return
  }
  const mine = {}
  film = mine
  $("play").textContent = "■ Stop"
  while (film === mine) {
    const shown = period()
    await go(shown[(shown.indexOf(today()) + 1) % shown.length])
    await Promise.all([complete(), new Promise((done) => setTimeout(done, SHOWN))])
  }
}
