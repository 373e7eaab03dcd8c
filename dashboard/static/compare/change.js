// Changes of what is shown, which the whole page follows.

import { controls } from "./controls.js"
import { paint } from "./drawing.js"
import { heads } from "./heads.js"
import { inspect } from "./inspector.js"
import { layout } from "./layout.js"
import { passing, remember, state } from "./state.js"

/** Brings the page to the state after another product, image or number of views. */
export async function change() {
  await heads(change)
  controls()
  remember()
  layout()
  inspect()
}

/**
 * Views side by side, swiped or blinking.
 * @param {string} name
 */
export function mode(name) {
  state.mode = name
  passing.shown = 0
  controls()
  remember()
  layout()
}

/** Shows the next view. */
export function blink() {
  passing.shown = (passing.shown + 1) % state.views.length
  paint()
}
