// Draws the views.

import { data } from "./data.js"
import { clamp, make } from "./dom.js"
import { furniture } from "./furniture.js"
import { corner, NATIVE, scale, size } from "./ground.js"
import { image, mask } from "./sources.js"
import { passing, state } from "./state.js"
import { fetched, forget, known } from "./tiles.js"

/** @typedef {import("./sources.js").Source} Source */
/** @typedef {import("./state.js").View} View */

/** Side of a tile. [px] */
const SIDE = 512

/**
 * A canvas in its box, and what is drawn over it.
 * @typedef {{canvas: HTMLCanvasElement, box: HTMLElement, svg: SVGElement, context: CanvasRenderingContext2D}} Canvas
 */

/** One a view where they are side by side, else one for all. @type {Canvas[]} */
export const canvases = []

/** @param {HTMLCanvasElement} canvas */
export const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))

/** Tiles of hidden views are fetched, not shown. */
const spare = contextOf(make("canvas", { width: 1, height: 1 }))

/** What one picture needs and finds: addresses, faults, and how many tiles are still missing. */
class Picture {
  /** @type {Set<string>} */
  needed = new Set()
  missing = 0

  /**
   * Draws one view.
   * @param {CanvasRenderingContext2D} context
   * @param {View} view
   * @param {number} left edge of what is seen of it, in screen pixels
   */
  view(context, view, left = 0) {
    const [ox, oy] = corner()
    /** @type {Set<string>} */
    const faults = new Set()
    const under = image(view)
    const over = mask(view)
    context.save()
    context.beginPath()
    // Cells of the composite may reach beyond the tile.
    context.rect(-ox, -oy, data.cols * scale(), data.rows * scale())
    context.clip()
    if (under) this.layer(context, under, faults, left)
    if (over) {
      context.globalAlpha = state.opacity
      this.layer(context, over, faults, left)
      context.globalAlpha = 1
    }
    context.restore()
    view.fault = [...faults].join("; ")
  }

  /**
   * Draws the tiles of one source.
   * @param {CanvasRenderingContext2D} context
   * @param {Source} source
   * @param {Set<string>} faults
   * @param {number} left
   */
  layer(context, source, faults, left) {
    const z = clamp(state.z, 0, source.last)
    const side = SIDE * 2 ** (state.z - z)
    const [ox, oy] = corner()
    const count = (/** @type {number} */ pixels) => Math.ceil((pixels * 2 ** (z - NATIVE)) / SIDE)
    const [cols, rows] = [count(data.cols), count(data.rows)]
    for (let y = Math.max(0, Math.floor(oy / side)); y < rows && y * side - oy < size.height; y++)
      for (let x = Math.max(0, Math.floor((ox + left) / side)); x < cols && x * side - ox < size.width; x++) {
        const url = source.url(z, x, y)
        const tile = fetched(url, paint)
        this.needed.add(url)
        if (tile.fault) faults.add(tile.fault)
        if (!tile.ready) {
          this.missing += 1
          coarser(context, source, [z, x, y], [x * side - ox, y * side - oy, side])
        } else if (tile.image) context.drawImage(tile.image, x * side - ox, y * side - oy, side, side)
      }
  }
}

/**
 * Draws the part of a coarser tile that is there, until the sharp one is.
 * @param {CanvasRenderingContext2D} context
 * @param {Source} source
 * @param {[z: number, x: number, y: number]} tile
 * @param {[left: number, top: number, side: number]} square
 */
function coarser(context, source, [z, x, y], [left, top, side]) {
  for (let up = 1; up <= z; up++) {
    const tile = known(source.url(z - up, x >> up, y >> up))
    if (!tile?.ready || !tile.image) continue
    const part = SIDE / 2 ** up
    context.drawImage(tile.image, (x % 2 ** up) * part, (y % 2 ** up) * part, part, part, left, top, side, side)
    return
  }
}

/**
 * Draws two views into one canvas, the second one right of the divider.
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 */
function swiped(context, picture) {
  const edge = Math.round(passing.swipe * size.width)
  picture.view(context, state.views[0])
  context.clearRect(edge, 0, size.width, size.height)
  context.save()
  context.beginPath()
  context.rect(edge, 0, size.width, size.height)
  context.clip()
  picture.view(context, state.views[1], edge)
  context.restore()
}

/**
 * Draws one of the views, the others' tiles are fetched.
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 */
function blinked(context, picture) {
  state.views.forEach((view, i) => {
    if (i !== passing.shown) picture.view(spare, view)
  })
  picture.view(context, state.views[passing.shown])
}

function draw() {
  const picture = new Picture()
  canvases.forEach(({ context }, i) => {
    context.imageSmoothingEnabled = false
    context.clearRect(0, 0, size.width, size.height)
    if (state.mode === "side") picture.view(context, state.views[i])
    else if (state.mode === "blink") blinked(context, picture)
    else swiped(context, picture)
  })
  forget(picture.needed)
  furniture(canvases)
  document.documentElement.dataset.missing = String(picture.missing)
  if (picture.missing) return
  painted += 1
  document.documentElement.dataset.complete = String(painted)
  window.compare.complete = performance.now()
  for (const go of waiting.splice(0)) go()
}

let planned = false
let painted = 0
/** @type {(() => void)[]} */
const waiting = []

/** Draws all views anew with the next frame. */
export function paint() {
  if (planned) return
  planned = true
  requestAnimationFrame(() => {
    planned = false
    draw()
  })
}

/**
 * Draws, and waits until no tile is missing.
 * @returns {Promise<void>}
 */
export const complete = () =>
  new Promise((go) => {
    waiting.push(go)
    paint()
  })
