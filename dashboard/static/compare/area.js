// Areas: corners clicked in a view, and their statistics on all dates.

import { overTime } from "./chart.js"
import { data, product } from "./data.js"
import { $, plain } from "./dom.js"
import { paint } from "./drawing.js"
import { passing, state } from "./state.js"

/** @typedef {import("./state.js").Place} Place */

/** Whether clicks are corners. */
export const isDrawing = () => passing.drawing !== null && !passing.drawing.closed

/** Begins an area. */
export function draft() {
  passing.drawing = { points: [], closed: false }
  $("area").innerHTML =
    '<p class="soft">Click the corners in a view; Enter or a double click closes the area, Escape gives it up.</p>'
  paint()
}

/**
 * Adds a corner.
 * @param {Place} at
 */
export function add(at) {
  passing.drawing?.points.push(at)
  paint()
}

/** Gives the area up. */
export function abandon() {
  passing.drawing = null
  $("area").replaceChildren()
  paint()
}

/** Closes the area, if one is being drawn, and asks for its statistics. */
export async function finish() {
  if (!passing.drawing || passing.drawing.closed) return
  // A double click makes a corner twice.
  const corners = passing.drawing.points.filter(
    ([x, y], i, all) => !i || Math.hypot(x - all[i - 1][0], y - all[i - 1][1]) > 1e-6,
  )
  passing.drawing = { points: corners, closed: true }
  paint()
  const ground = corners
    .map(([col, row]) => `${(data.west + col * 10).toFixed(1)} ${(data.north - row * 10).toFixed(1)}`)
    .join(",")
  const { version } = product(state.views[0].product)
  const address = `/api/compare/statistics/${data.tile}?version=${version}&polygon=${encodeURIComponent(ground)}`
  $("area").innerHTML = '<p class="soft">Counting …</p>'
  const answer = await fetch(address)
  const found = await answer.json()
  $("area").innerHTML = answer.ok ? statistics(found, address) : `<p class="refused">${plain(found.detail)}</p>`
}

/**
 * What is said of an area, as HTML.
 * @param {{rows: Record<string, any>[], repaired: string, pixels: number}} found
 * @param {string} address
 */
function statistics(found, address) {
  const rows = found.rows.map((row) => ({
    date: row.date,
    clear: row.clear_pixels > 0,
    ndvi: row.ndvi_mean,
    B4: row.B4_mean,
    B8: row.B8_mean,
  }))
  const repaired = found.repaired ? `<p class="refused">${plain(found.repaired)}</p>` : ""
  return (
    `<h2>Area of ${found.pixels} pixels <small>mean of the clear ones</small></h2>${repaired}${overTime(rows)}` +
    `<p><a href="${address}&format=csv" download>Statistics as CSV</a></p>`
  )
}
