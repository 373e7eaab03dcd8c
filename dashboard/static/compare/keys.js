// Single keys of the page.

import { abandon, draft, finish } from "./area.js"
import { blink, mode } from "./change.js"
import { controls } from "./controls.js"
import { play, step } from "./dates.js"
import { $ } from "./dom.js"
import { paint } from "./drawing.js"
import { all, pan, zoom } from "./move.js"
import { passing, remember, state } from "./state.js"

const PATTERNS = ["fill", "outline", "hatch"]

/** Shows what the keys do. */
export const help = () => /** @type {HTMLDialogElement} */ ($("keys")).showModal()

function masks() {
  passing.masked = !passing.masked
  paint()
}

function pattern() {
  state.pattern = PATTERNS[(PATTERNS.indexOf(state.pattern) + 1) % PATTERNS.length]
  controls()
  remember()
  paint()
}

/** @type {Record<string, () => void>} */
const KEYS = {
  ArrowLeft: () => pan(-1, 0),
  ArrowRight: () => pan(1, 0),
  ArrowUp: () => pan(0, -1),
  ArrowDown: () => pan(0, 1),
  "+": () => zoom(1),
  "=": () => zoom(1),
  "-": () => zoom(-1),
  0: all,
  "[": () => step(-1),
  "]": () => step(1),
  " ": play,
  m: masks,
  o: pattern,
  d: () => mode("side"),
  s: () => mode("swipe"),
  b: () => (state.mode === "blink" ? blink() : mode("blink")),
  p: draft,
  Enter: finish,
  Escape: abandon,
  "?": help,
}

/**
 * Whether a key is meant for the control that has the focus. A box that was ticked, or a slider, keeps it and needs no
 * letters.
 * @param {KeyboardEvent} event
 */
function isForControl({ target, key }) {
  const { tagName, type } = /** @type {HTMLInputElement} */ (target)
  if (tagName === "SELECT" || tagName === "TEXTAREA") return true
  if (tagName === "BUTTON") return key === " " || key === "Enter"
  if (tagName !== "INPUT") return false
  return !(type === "checkbox" && key !== " ") && !(type === "range" && /^[a-z?]$/.test(key))
}

/** Takes the keys of the page. */
export function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isForControl(event)) return
    if (!Object.hasOwn(KEYS, event.key)) return
    event.preventDefault()
    KEYS[event.key]()
  })
}
