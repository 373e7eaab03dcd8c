// Gestures over a view: wheel, drag, two fingers, click, and the divider.

import { add, finish, isDrawing } from "./area.js"
import { choose } from "./chosen.js"
import { clamp, inside } from "./dom.js"
import { canvases, paint } from "./drawing.js"
import { pixel, ratio, scale, size, under } from "./ground.js"
import { coordinates, inspect } from "./inspector.js"
import { zoom } from "./move.js"
import { passing, remember, state } from "./state.js"

/** A wheel has to turn so far for a level of zoom, and counts for no more at once. */
const [TURN, MOST] = [60, 120]
/** A pointer that moved no further has clicked. [px] */
const STILL = 3
/** How near to the divider it is taken, with a finger and with a mouse. [px] */
const [FINGER, MOUSE] = [28, 12]

/** @typedef {{x: number, y: number, cx: number, cy: number, edge: boolean}} Start of a drag. */

/** @param {HTMLCanvasElement} canvas */
export function gestures(canvas) {
  wheel(canvas)
  pointers(canvas)
  canvas.ondblclick = finish
  canvas.onpointerleave = () => {
    passing.hover = null
    inspect()
  }
}

/** @param {HTMLCanvasElement} canvas */
function wheel(canvas) {
  let turned = 0
  canvas.onwheel = (event) => {
    event.preventDefault()
    turned += clamp(event.deltaY, -MOST, MOST)
    if (Math.abs(turned) < TURN) return
    zoom(turned < 0 ? 1 : -1, under(event, canvas))
    turned = 0
  }
}

/** @param {HTMLCanvasElement} canvas */
function pointers(canvas) {
  /** @type {Start | null} */
  let from = null
  let moved = false
  let apart = 0
  /** @type {Map<number, PointerEvent>} */
  const fingers = new Map()
  const spread = () => {
    const [a, b] = fingers.values()
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)
  }
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, event)
    if (fingers.size === 2) {
      apart = spread()
      from = null
      return
    }
    from = { x: event.clientX, y: event.clientY, cx: state.cx, cy: state.cy, edge: atEdge(event, canvas) }
    moved = false
  }
  canvas.onpointermove = (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event)
    if (fingers.size > 1) {
      // Two fingers: twice as far apart, twice as large.
      const by = Math.round(Math.log2(spread() / apart))
      const [a, b] = fingers.values()
      const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 }
      if (by) zoom(by, under(middle, canvas))
      apart *= 2 ** by
      return
    }
    crosses(event, canvas)
    if (from) {
      moved ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > STILL
      drag(event, canvas, from, moved)
    } else {
      passing.hover = pixel(under(event, canvas))
      coordinates()
      inspect()
    }
  }
  canvas.onpointercancel = (event) => {
    fingers.delete(event.pointerId)
    from = null
  }
  canvas.onpointerup = (event) => {
    fingers.delete(event.pointerId)
    const clicked = from && !moved && !from.edge
    from = null
    if (!clicked) return
    const at = under(event, canvas)
    if (isDrawing()) add(at)
    else choose(pixel(at))
  }
}

/**
 * Whether a pointer takes the divider.
 * @param {PointerEvent} event
 * @param {HTMLCanvasElement} canvas
 */
function atEdge(event, canvas) {
  const x = (event.clientX - canvas.getBoundingClientRect().left) * ratio
  const near = (event.pointerType === "touch" ? FINGER : MOUSE) * ratio
  return state.mode === "swipe" && Math.abs(x - passing.swipe * size.width) < near
}

/**
 * Moves the divider or the ground.
 * @param {PointerEvent} event
 * @param {HTMLCanvasElement} canvas
 * @param {Start} from
 * @param {boolean} moved
 */
function drag(event, canvas, from, moved) {
  const box = canvas.getBoundingClientRect()
  if (from.edge) passing.swipe = clamp((event.clientX - box.left) / box.width, 0, 1)
  else if (moved) {
    state.cx = from.cx - ((event.clientX - from.x) * ratio) / scale()
    state.cy = from.cy - ((event.clientY - from.y) * ratio) / scale()
    remember()
  }
  paint()
}

/**
 * A cross in every view where the pointer is in one.
 * @param {PointerEvent} event
 * @param {HTMLCanvasElement} canvas
 */
function crosses(event, canvas) {
  const { left, top } = canvas.getBoundingClientRect()
  for (const { box } of canvases)
    inside(box, ".cross").style.transform = `translate(${event.clientX - left}px, ${event.clientY - top}px)`
}
