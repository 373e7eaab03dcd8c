// A map in Web Mercator on three canvases: land below, tiles, coasts above. Tiles are drawn anew one by one.

import { colour } from "./theme.js"

/** Tiles overlap: those of a higher level lie over the others.
 * @typedef {{fill: string | CanvasPattern, label?: string, faint?: boolean, level?: number}} Style */
/** @typedef {{ring: number[], box: [number, number, number, number]}} Tile */

const MOST_ZOOM = 0.6

export class GroundMap {
  /**
   * @param {HTMLElement} element
   * @param {(tile: string) => Style | null} style How a tile is drawn; null: not at all.
   */
  constructor(element, style) {
    this.element = element
    this.style = style
    /** @type {Map<string, Tile>} */
    this.tiles = new Map()
    this.land = new Path2D()
    this.unit = 1
    /** Centre [units of the ground], and pixels a unit. */
    this.view = { x: 0, y: 0, scale: 0.001 }
    this.width = this.height = 0
    /** Tiles with an outline. */
    this.marked = new Set()
    /** How often all was drawn, and single tiles. */
    this.drawings = this.patches = 0
    this.waiting = false
    this.edge = "#fff"
    /** Pixels that the pointer went while it was down. */
    this.dragged = 0
    const [ground, drawn] = element.querySelectorAll("canvas")
    this.ground = ground
    this.drawn = drawn
    /** @type {(() => void)[]} */
    this.onMove = []
    new ResizeObserver(() => this.resize()).observe(element)
    this.gestures()
  }

  /** @param {{unit: number, land: number[][], tiles: Record<string, number[]>}} ground */
  load(ground) {
    this.unit = ground.unit
    for (const steps of ground.land) outline(this.land, whole(steps))
    for (const [tile, steps] of Object.entries(ground.tiles)) {
      const ring = whole(steps)
      const xs = ring.filter((_, i) => i % 2 === 0)
      const ys = ring.filter((_, i) => i % 2 === 1)
      this.tiles.set(tile, { ring, box: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] })
    }
  }

  /** Shows a rectangle. @param {number[]} box West, south, east, north [m]. */
  around([west, south, east, north]) {
    const { width, height } = this.element.getBoundingClientRect()
    const [w, h] = [(east - west) / this.unit, (north - south) / this.unit]
    this.view = {
      x: (east + west) / 2 / this.unit,
      y: (north + south) / 2 / this.unit,
      scale: Math.min(width / w, height / h, MOST_ZOOM),
    }
    this.soon()
  }

  /** Shows some tiles. @param {string[]} names */
  show(names) {
    const boxes = names.flatMap((name) => this.tiles.get(name)?.box ?? [])
    if (!boxes.length) return
    const at = (/** @type {number} */ place) => boxes.filter((_, i) => i % 4 === place)
    const [west, south] = [Math.min(...at(0)), Math.min(...at(1))]
    const [east, north] = [Math.max(...at(2)), Math.max(...at(3))]
    const pad = 0.15 * Math.max(east - west, north - south, 2e5 / this.unit)
    this.around([west - pad, south - pad, east + pad, north + pad].map((value) => value * this.unit))
  }

  resize() {
    const { width, height } = this.element.getBoundingClientRect()
    if (!width || !height) return
    const grown = this.width ? Math.sqrt((width * height) / (this.width * this.height)) : 1
    this.view.scale *= grown
    this.width = width
    this.height = height
    for (const canvas of [this.ground, this.drawn]) {
      canvas.width = Math.round(width * devicePixelRatio)
      canvas.height = Math.round(height * devicePixelRatio)
    }
    this.draw()
  }

  /** Draws with the next frame, once. */
  soon() {
    if (this.waiting) return
    this.waiting = true
    requestAnimationFrame(() => {
      this.waiting = false
      this.draw()
    })
  }

  /** Draws everything. */
  draw() {
    if (!this.width || !this.tiles.size) return
    this.edge = colour("--land")
    this.below(context(this.ground))
    const pen = context(this.drawn)
    pen.clearRect(0, 0, this.width, this.height)
    for (const name of this.inOrder([...this.tiles.keys()])) this.tile(pen, name)
    this.coasts(pen)
    this.drawings += 1
    this.element.dataset.drawings = String(this.drawings)
    for (const moved of this.onMove) moved()
  }

  /** Draws some tiles anew, and what lies around them within their rectangles. @param {Iterable<string>} names */
  patch(names) {
    const pen = context(this.drawn)
    for (const name of names) {
      const box = this.box(name, 4)
      if (!box) continue
      const [left, top, right, bottom] = box
      if (right < 0 || bottom < 0 || left > this.width || top > this.height) continue
      pen.save()
      pen.beginPath()
      pen.rect(left, top, right - left, bottom - top)
      pen.clip()
      pen.clearRect(left, top, right - left, bottom - top)
      const around = [...this.tiles.keys()].filter((other) => {
        const near = this.box(other, 1)
        return near && near[0] < right && near[2] > left && near[1] < bottom && near[3] > top
      })
      for (const other of this.inOrder(around)) this.tile(pen, other)
      this.coasts(pen)
      pen.restore()
      this.patches += 1
    }
    this.element.dataset.patches = String(this.patches)
  }

  /** The lowest level first. @param {string[]} names */
  inOrder(names) {
    const levels = new Map(names.map((name) => [name, this.style(name)?.level ?? 0]))
    return names.sort((a, b) => (levels.get(a) ?? 0) - (levels.get(b) ?? 0))
  }

  /** @param {CanvasRenderingContext2D} pen */
  below(pen) {
    pen.fillStyle = colour("--sea")
    pen.fillRect(0, 0, this.width, this.height)
    this.inUnits(pen, () => {
      pen.fillStyle = colour("--land")
      pen.fill(this.land, "evenodd")
    })
  }

  /** @param {CanvasRenderingContext2D} pen */
  coasts(pen) {
    this.inUnits(pen, () => {
      pen.strokeStyle = colour("--coast")
      pen.globalAlpha = 0.8
      pen.lineWidth = 0.7 / this.view.scale
      pen.stroke(this.land)
    })
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {() => void} act
   */
  inUnits(pen, act) {
    const { x, y, scale } = this.view
    pen.save()
    pen.translate(this.width / 2, this.height / 2)
    pen.scale(scale, -scale)
    pen.translate(-x, -y)
    act()
    pen.restore()
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {string} name
   */
  tile(pen, name) {
    const style = this.style(name)
    const found = this.tiles.get(name)
    const box = this.box(name, 0)
    if (!style || !found || !box) return
    if (box[2] < 0 || box[3] < 0 || box[0] > this.width || box[1] > this.height) return
    pen.beginPath()
    for (let i = 0; i < found.ring.length; i += 2) pen.lineTo(...this.pixel(found.ring[i], found.ring[i + 1]))
    pen.closePath()
    pen.globalAlpha = style.faint ? 0.35 : 0.9
    pen.fillStyle = style.fill
    pen.fill()
    pen.globalAlpha = 1
    const marked = this.marked.has(name)
    pen.strokeStyle = marked ? "#D0021B" : style.faint ? "#9AA5B1" : this.edge
    pen.lineWidth = marked ? 3 : style.faint ? 0.6 : 0.8
    pen.stroke()
    if (box[2] - box[0] > 54) {
      const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
      pen.font = "600 11px Roboto, Helvetica, Arial, sans-serif"
      pen.textAlign = "center"
      write(pen, name, x, y - (style.label ? 3 : -4))
      if (style.label) write(pen, style.label, x, y + 11)
    }
  }

  /**
   * Rectangle around a tile [px].
   * @param {string} name
   * @param {number} pad
   */
  box(name, pad) {
    const found = this.tiles.get(name)
    if (!found) return null
    const [left, bottom] = this.pixel(found.box[0], found.box[1])
    const [right, top] = this.pixel(found.box[2], found.box[3])
    return [Math.floor(left) - pad, Math.floor(top) - pad, Math.ceil(right) + pad, Math.ceil(bottom) + pad]
  }

  /**
   * @param {number} x
   * @param {number} y
   * @returns {[number, number]}
   */
  pixel(x, y) {
    const { view } = this
    return [this.width / 2 + (x - view.x) * view.scale, this.height / 2 - (y - view.y) * view.scale]
  }

  /**
   * Place on the ground [m] of a pixel of the element.
   * @param {number} px
   * @param {number} py
   */
  place(px, py) {
    const { x, y, scale } = this.view
    return [(x + (px - this.width / 2) / scale) * this.unit, (y - (py - this.height / 2) / scale) * this.unit]
  }

  /**
   * The tile at a pixel: of several the one whose middle is nearest.
   * @param {number} px
   * @param {number} py
   */
  at(px, py) {
    const [x, y] = this.place(px, py).map((value) => value / this.unit)
    let best = null
    let least = Number.POSITIVE_INFINITY
    for (const [name, { ring, box }] of this.tiles) {
      if (x < box[0] || y < box[1] || x > box[2] || y > box[3] || !inside(ring, x, y) || !this.style(name)) continue
      const far = Math.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2)
      if (far < least) [best, least] = [name, far]
    }
    return best
  }

  /**
   * @param {number} factor
   * @param {number} [px]
   * @param {number} [py]
   */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.place(px, py)
    this.view.scale = Math.min(MOST_ZOOM, Math.max((this.width / 4.2e7) * this.unit, this.view.scale * factor))
    const after = this.place(px, py)
    this.view.x += (before[0] - after[0]) / this.unit
    this.view.y += (before[1] - after[1]) / this.unit
    this.soon()
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  move(dx, dy) {
    this.view.x -= dx / this.view.scale
    this.view.y += dy / this.view.scale
    this.soon()
  }

  gestures() {
    const { element } = this
    /** @type {Map<number, [number, number]>} */
    const fingers = new Map()
    const spot = (/** @type {PointerEvent | WheelEvent} */ event) => {
      const box = element.getBoundingClientRect()
      return /** @type {[number, number]} */ ([event.clientX - box.left, event.clientY - box.top])
    }
    element.addEventListener("wheel", (event) => {
      event.preventDefault()
      this.zoom(1.0015 ** -event.deltaY, ...spot(event))
    })
    element.addEventListener("pointerdown", (event) => {
      if (event.target instanceof HTMLButtonElement) return
      fingers.set(event.pointerId, spot(event))
      this.dragged = 0
    })
    element.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId)
      if (!before || event.buttons === 0) return
      const now = spot(event)
      if (fingers.size === 2) {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId)
        const grown = distance(now, other[1]) / Math.max(distance(before, other[1]), 1)
        this.zoom(grown, (now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2)
      } else this.move(now[0] - before[0], now[1] - before[1])
      this.dragged = this.dragged + distance(now, before)
      fingers.set(event.pointerId, now)
    })
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"]))
      element.addEventListener(end, (event) => fingers.delete(event.pointerId))
    element.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }
      const step = steps[/** @type {keyof typeof steps} */ (event.key)]
      if (step) this.move(step[0], step[1])
      else if (event.key === "+" || event.key === "=") this.zoom(1.5)
      else if (event.key === "-") this.zoom(1 / 1.5)
      else return
      event.preventDefault()
    })
  }
}

/**
 * Points from the steps between them.
 * @param {number[]} steps
 */
function whole(steps) {
  const points = [...steps]
  for (let i = 2; i < points.length; i += 1) points[i] += points[i - 2]
  return points
}

/**
 * @param {Path2D} path
 * @param {number[]} points
 */
function outline(path, points) {
  path.moveTo(points[0], points[1])
  for (let i = 2; i < points.length; i += 2) path.lineTo(points[i], points[i + 1])
}

/**
 * @param {number[]} ring
 * @param {number} x
 * @param {number} y
 */
function inside(ring, x, y) {
  let odd = false
  for (let i = 0; i + 3 < ring.length; i += 2) {
    const [x0, y0, x1, y1] = [ring[i], ring[i + 1], ring[i + 2], ring[i + 3]]
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) odd = !odd
  }
  return odd
}

/**
 * Text that can be read on any colour.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} text
 * @param {number} x
 * @param {number} y
 */
function write(pen, text, x, y) {
  pen.lineWidth = 3
  pen.strokeStyle = "#ffffffd0"
  pen.strokeText(text, x, y)
  pen.fillStyle = "#111820"
  pen.fillText(text, x, y)
}

/** @param {HTMLCanvasElement} canvas */
function context(canvas) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
  return pen
}

/**
 * @param {[number, number]} a
 * @param {[number, number]} b
 */
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1])
