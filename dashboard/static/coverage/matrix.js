// Completeness: a row a tile, a column a month. Only the rows in sight are drawn.

import { $, ask } from "../shared/dom.js"
import { dark } from "../shared/theme.js"
import { ofSite, state } from "./state.js"

const ROW = 16
const HEAD = 20
const LABEL = 56
/** From nothing to all; darker is more. */
const RAMP = ["#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#084594"]

/** @type {{months: string[], tiles: string[], counts: Uint8Array}} */
let matrix = { months: [], tiles: [], counts: new Uint8Array() }
/** Places in `matrix.tiles` of the rows, in their order. @type {number[]} */
let rows = []
let at = { row: 0, column: 0 }
/** @type {(tile: string, month: string) => void} */
let opened = () => {}

const element = $("matrix")
const canvas = /** @type {HTMLCanvasElement} */ (element.querySelector("canvas"))
const spacer = /** @type {HTMLElement} */ (element.querySelector(".rows"))

/** @param {(tile: string, month: string) => void} act What Enter and a click on a cell do. */
export const openCell = (act) => {
  opened = act
}

/** Asks for the counts and draws them. */
export async function loadMatrix() {
  const answer = await ask(`/api/coverage/matrix?version=${encodeURIComponent(state.version)}`).catch(() => null)
  if (!answer) return
  const bytes = atob(answer.counts)
  matrix = { ...answer, counts: Uint8Array.from(bytes, (letter) => letter.charCodeAt(0)) }
  at = { row: 0, column: Math.max(0, matrix.months.length - 1) }
  $("scale").innerHTML =
    `<span><i style="width:140px;background:linear-gradient(90deg,${RAMP.join()})"></i>0 to 100 % complete (darker is
    more; numbers where there is room)</span><span>× a pass is missing</span><span>blank: nothing came, nothing was due</span>`
  drawMatrix()
}

/** Draws the rows in sight. */
export function drawMatrix() {
  rows = matrix.tiles
    .map((_, place) => place)
    .filter((place) => {
      const row = state.tiles.get(matrix.tiles[place])
      return row && ofSite(row)
    })
    .sort((a, b) => (key(a) < key(b) ? -1 : 1))
  element.style.height = `${Math.min(400, Math.max(60, rows.length * ROW + HEAD + 4))}px`
  spacer.style.height = `${Math.max(0, rows.length * ROW + HEAD - element.clientHeight)}px`
  paint()
}

/** @param {number} place */
const key = (place) => `${state.tiles.get(matrix.tiles[place])?.site} ${matrix.tiles[place]}`

/** @param {number} place @param {number} column */
const cell = (place, column) => matrix.counts.subarray((place * matrix.months.length + column) * 3)

/** Width of a column. [px] */
const width = () => Math.min(40, (element.clientWidth - LABEL - 4) / Math.max(1, matrix.months.length))

function paint() {
  const [wide, high] = [element.clientWidth, element.clientHeight]
  canvas.width = wide * devicePixelRatio
  canvas.height = high * devicePixelRatio
  canvas.style.width = `${wide}px`
  canvas.style.height = `${high}px`
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
  pen.scale(devicePixelRatio, devicePixelRatio)
  const ink = dark() ? "#E6E6E6" : "#222"
  const column = width()
  const first = Math.floor(element.scrollTop / ROW)
  pen.font = "11px Roboto, Helvetica, Arial, sans-serif"
  for (let line = first; line < Math.min(rows.length, first + Math.ceil(high / ROW) + 1); line += 1) {
    const y = HEAD + line * ROW - element.scrollTop
    pen.fillStyle = ink
    pen.textAlign = "left"
    pen.fillText(matrix.tiles[rows[line]], 4, y + 12)
    for (let month = 0; month < matrix.months.length; month += 1) {
      const [ended, came, missing] = cell(rows[line], month)
      if (came + missing) box(pen, LABEL + month * column, y, column, ended, came, missing, ink)
    }
  }
  head(pen, wide, column, ink)
  if (document.activeElement === element && rows.length) {
    pen.strokeStyle = "#E69F00"
    pen.lineWidth = 2
    pen.strokeRect(LABEL + at.column * column, HEAD + at.row * ROW - element.scrollTop, column - 1, ROW - 1)
  }
  element.dataset.rows = String(rows.length)
}

/**
 * One cell.
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x
 * @param {number} y
 * @param {number} column
 * @param {number} ended
 * @param {number} came
 * @param {number} missing
 * @param {string} ink
 */
function box(pen, x, y, column, ended, came, missing, ink) {
  const share = ended / (came + missing)
  pen.fillStyle = RAMP[Math.min(RAMP.length - 1, Math.floor(share * RAMP.length))]
  pen.fillRect(x, y, Math.max(1, column - 1), ROW - 1)
  const on = share > 0.6 ? "#fff" : "#222"
  if (missing) {
    pen.fillStyle = on
    pen.textAlign = "left"
    if (column > 7) pen.fillText("×", x + 1, y + 12)
    else {
      pen.fillStyle = ink
      pen.fillRect(x, y + ROW - 4, Math.max(1, column - 1), 3)
    }
  }
  if (column >= 34) {
    pen.fillStyle = on
    pen.textAlign = "right"
    pen.fillText(`${ended}/${came + missing}`, x + column - 4, y + 12)
  }
}

/**
 * Months above the columns, as many as there is room for.
 * @param {CanvasRenderingContext2D} pen
 * @param {number} wide
 * @param {number} column
 * @param {string} ink
 */
function head(pen, wide, column, ink) {
  pen.fillStyle = getComputedStyle(document.body).backgroundColor
  pen.fillRect(0, 0, wide, HEAD)
  pen.fillStyle = ink
  pen.textAlign = "left"
  const every = [1, 3, 6, 12, 24].find((step) => step * column > 52) ?? 48
  for (let month = 0; month < matrix.months.length; month += 1)
    if (month % every === 0) pen.fillText(matrix.months[month], LABEL + month * column, 14)
}

function say() {
  const place = rows[at.row]
  if (place === undefined) return
  const tile = matrix.tiles[place]
  const [ended, came, missing] = cell(place, at.column)
  const late = missing ? `, ${missing} missing` : ""
  const text = came + missing ? `${ended} of ${came + missing} dates ended${late}` : "nothing came, nothing was due"
  $("cell").textContent = `${tile} ${state.tiles.get(tile)?.site ?? ""}, ${matrix.months[at.column]}: ${text}`
}

/** @param {MouseEvent} event */
function under(event) {
  const frame = element.getBoundingClientRect()
  const row = Math.floor((event.clientY - frame.top - HEAD + element.scrollTop) / ROW)
  const column = Math.floor((event.clientX - frame.left - LABEL) / width())
  return row >= 0 && row < rows.length && column >= 0 && column < matrix.months.length ? { row, column } : null
}

element.addEventListener("scroll", paint)
element.addEventListener("focus", paint)
element.addEventListener("blur", paint)
new ResizeObserver(paint).observe(element)
element.addEventListener("pointermove", (event) => {
  const found = under(event)
  if (!found) return
  at = found
  say()
})
element.addEventListener("click", (event) => {
  const found = under(event)
  if (found) opened(matrix.tiles[rows[found.row]], matrix.months[found.column])
})
element.addEventListener("keydown", (event) => {
  const steps = {
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    PageUp: [-20, 0],
    PageDown: [20, 0],
  }
  const step = steps[/** @type {keyof typeof steps} */ (event.key)]
  if (step && rows.length) {
    at.row = Math.min(Math.max(at.row + step[0], 0), rows.length - 1)
    at.column = Math.min(Math.max(at.column + step[1], 0), matrix.months.length - 1)
    const y = at.row * ROW
    if (y < element.scrollTop) element.scrollTop = y
    else if (y + ROW + HEAD > element.scrollTop + element.clientHeight)
      element.scrollTop = y + ROW + HEAD - element.clientHeight
    paint()
    say()
  } else if (event.key === "Enter" && rows.length) opened(matrix.tiles[rows[at.row]], matrix.months[at.column])
  else return
  event.preventDefault()
})
