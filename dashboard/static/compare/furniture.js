// What lies over the images: scale bars, drawn areas, names, faults and the divider.

import { COLOURS } from "./data.js"
import { inside, make } from "./dom.js"
import { corner, ratio, scale, size } from "./ground.js"
import { called, faults } from "./offers.js"
import { passing, state } from "./state.js"

/** Widest scale bar. [px] */
const WIDEST = 140

/** Lengths of scale bars, in order: 10 m to 500 km. [m] */
const LENGTHS = [0, 1, 2, 3, 4].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** (power + 1)))

/**
 * Numbers of the views that a canvas shows.
 * @param {number} i
 */
function viewsOf(i) {
  if (state.mode === "side") return [i]
  return state.mode === "blink" ? [passing.shown] : [0, 1]
}

/**
 * @param {HTMLElement} bar
 * @param {number} metre length of a CSS pixel [m]
 */
function scaleBar(bar, metre) {
  const length = LENGTHS.filter((metres) => metres / metre <= WIDEST).pop() || 10
  bar.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`
  bar.style.width = `${length / metre}px`
}

/** @param {{box: HTMLElement, svg: SVGElement}[]} canvases */
export function furniture(canvases) {
  const metre = (10 / scale()) * ratio
  const [ox, oy] = corner()
  const points = (passing.drawing?.points ?? []).map(
    ([x, y]) => `${(x * scale() - ox) / ratio},${(y * scale() - oy) / ratio}`,
  )
  canvases.forEach(({ box, svg }, i) => {
    scaleBar(inside(box, ".bar"), metre)
    svg.innerHTML = points.length ? `<polygon points="${points.join(" ")}"/>` : ""
    const edge = inside(box, ".edge")
    edge.hidden = state.mode !== "swipe"
    edge.style.left = `${(passing.swipe * size.width) / ratio}px`
    const names = viewsOf(i).map((k) =>
      make("span", {}, make("i", { style: `background:${COLOURS[k]}` }), called(state.views[k])),
    )
    inside(box, ".names").replaceChildren(...names)
    const wrong = (state.mode === "side" ? [state.views[i]] : state.views).flatMap(faults)
    const said = [...new Set(wrong)].join("; ")
    inside(box, ".fault").textContent = said && `This product is damaged: ${said}`
  })
}
