// Room of the views on the page.

import { NAMES } from "./data.js"
import { $, make } from "./dom.js"
import { canvases, contextOf, paint } from "./drawing.js"
import { gestures } from "./gestures.js"
import { ratio, size } from "./ground.js"
import { state } from "./state.js"

/** Narrower pages are a phone's; wider ones have room for four views in a row. [px] */
const [PHONE, WIDE] = [700, 1700]
/** Between two views, below the dates, and least height of a view. [px] */
const [GAP, BELOW, LEAST] = [6, 30, 220]

/** Gives each view its room, and draws. */
export function layout() {
  const count = state.mode === "side" ? state.views.length : 1
  const area = $("canvases")
  const columns = innerWidth < PHONE ? 1 : count > 3 && innerWidth < WIDE ? 2 : count
  const rows = Math.ceil(count / columns)
  if (canvases.length !== count) {
    canvases.splice(0, canvases.length, ...Array.from({ length: count }, (_, i) => canvasOf(i)))
    area.replaceChildren(...canvases.map(({ box }) => box))
  }
  const width = Math.floor((area.clientWidth - GAP * (columns - 1)) / columns)
  const free = innerHeight - area.getBoundingClientRect().top - scrollY - $("time").offsetHeight - BELOW
  // A phone shows two at once.
  const least = innerWidth < PHONE ? Math.min(width, Math.floor(innerHeight * 0.42)) : LEAST
  const height = Math.max(least, Math.floor((free - GAP * (rows - 1)) / rows))
  Object.assign(size, { width: Math.floor(width * ratio), height: Math.floor(height * ratio) })
  area.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`
  for (const { canvas, box } of canvases) {
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size)
    for (const element of [canvas, box]) Object.assign(element.style, { width: `${width}px`, height: `${height}px` })
  }
  paint()
}

/**
 * A new canvas with what lies over it.
 * @param {number} i
 * @returns {import("./drawing.js").Canvas}
 */
function canvasOf(i) {
  const canvas = make("canvas")
  canvas.setAttribute("aria-label", `View ${NAMES[i]}`)
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  const north = make("div", { className: "north", textContent: "N ↑" })
  const over = ["bar", "edge", "names", "fault"].map((className) => make("div", { className }))
  const box = make("div", { className: "view" }, canvas, svg, make("i", { className: "cross" }), north, ...over)
  gestures(canvas)
  return { canvas, box, svg, context: contextOf(canvas) }
}
