// Moves all views at once.

import { clamp } from "./dom.js"
import { paint } from "./drawing.js"
import { DEEPEST, scale, size, whole } from "./ground.js"
import { remember, state } from "./state.js"

/**
 * Zooms by levels around a place.
 * @param {number} by
 * @param {import("./state.js").Place} at
 */
export function zoom(by, at = [state.cx, state.cy]) {
  const before = scale()
  state.z = clamp(state.z + by, 0, DEEPEST)
  const k = before / scale()
  state.cx = at[0] + (state.cx - at[0]) * k
  state.cy = at[1] + (state.cy - at[1]) * k
  remember()
  paint()
}

/**
 * Moves by quarters of a view.
 * @param {number} x
 * @param {number} y
 */
export function pan(x, y) {
  state.cx += (x * size.width) / 4 / scale()
  state.cy += (y * size.height) / 4 / scale()
  remember()
  paint()
}

/** Shows the whole tile. */
export function all() {
  whole()
  remember()
  paint()
}
