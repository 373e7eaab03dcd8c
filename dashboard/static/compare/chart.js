// Charts of lines as SVG.

/** @typedef {[x: number, y: number, hollow: boolean, words: string]} Point */
/** @typedef {{colour: string, points: Point[]}} Series */

/**
 * A date of a pixel or an area.
 * @typedef {{date: string, clear: boolean, words?: string[], [figure: string]: unknown}} Row
 */

const WIDTH = 300
const HEIGHT = 150
const LEFT = 34
const BOTTOM = 20
const MARGIN = 8
const CROSS = 'stroke="#9AA5B1" stroke-width="1.5"'

/** What is drawn over time: words, key of a row, colour. */
const COLUMNS = [
  { title: "NDVI", key: "ndvi", colour: "#00A087" },
  { title: "B4", key: "B4", colour: "#D55E00" },
  { title: "B8", key: "B8", colour: "#8B1A1A" },
]

/**
 * A chart; hollow points are crosses beside the line.
 * @param {Series[]} series
 * @param {{x: number[], y: number[], ticks: [value: number, words: string][], label: string}} axes limits of both
 */
export function chart(series, { x, y, ticks, label }) {
  const px = (/** @type {number} */ v) => LEFT + ((v - x[0]) / (x[1] - x[0] || 1)) * (WIDTH - LEFT - MARGIN)
  const py = (/** @type {number} */ v) =>
    HEIGHT - BOTTOM - ((v - y[0]) / (y[1] - y[0] || 1)) * (HEIGHT - BOTTOM - MARGIN)
  const dot = (/** @type {string} */ colour, /** @type {Point} */ [at, value, hollow, words]) =>
    hollow
      ? `<path d="M${px(at) - 3} ${py(value) - 3}l6 6m0 -6l-6 6" ${CROSS}><title>${words}</title></path>`
      : `<circle cx="${px(at)}" cy="${py(value)}" r="2.6" fill="${colour}"><title>${words}</title></circle>`
  const lines = series.map(({ colour, points }) => {
    const path = points.filter(([, , hollow]) => !hollow).map(([at, v]) => `${px(at).toFixed(1)},${py(v).toFixed(1)}`)
    const dots = points.map((point) => dot(colour, point))
    return `<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}`
  })
  const rows = [0, 0.5, 1]
    .map((k) => y[0] + k * (y[1] - y[0]))
    .map(
      (v) =>
        `<line x1="${LEFT}" x2="${WIDTH - MARGIN}" y1="${py(v)}" y2="${py(v)}"/>` +
        `<text x="${LEFT - 4}" y="${py(v) + 3}" text-anchor="end">${+v.toFixed(2)}</text>`,
    )
  const anchor = (/** @type {number} */ i) => (i === 0 ? "start" : i === ticks.length - 1 ? "end" : "middle")
  const columns = ticks.map(
    ([v, words], i) => `<text x="${px(v)}" y="${HEIGHT - 6}" text-anchor="${anchor(i)}">${words}</text>`,
  )
  return (
    `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">` +
    `${[...rows, ...columns, ...lines].join("")}</svg>`
  )
}

/**
 * NDVI and two bands over time, with their key.
 * @param {Row[]} rows in the order of their dates, at least one
 */
export function overTime(rows) {
  const series = COLUMNS.map(({ title, key, colour }) => ({
    colour,
    points: rows.flatMap((row) => points(row, title, key)),
  }))
  const values = series.flatMap((one) => one.points.map(([, value]) => value))
  const [first, last] = [rows[0].date, rows[rows.length - 1].date]
  const [since, until] = [Date.parse(first), Date.parse(last)]
  const drawn = chart(series, {
    x: since === until ? [since - 4e8, until + 4e8] : [since, until],
    y: [Math.min(0, ...values), Math.max(0.2, ...values)],
    ticks: [
      [since, first.slice(0, 10)],
      [until, rows.length > 1 ? last.slice(0, 10) : ""],
    ],
    label: "Time series",
  })
  const key = COLUMNS.map(({ title, colour }) => `<i class="key" style="background:${colour}"></i>${title}`)
  return `${drawn}<p class="soft">${key.join(" ")}</p>`
}

/**
 * The point of a row, none where it has no value.
 * @param {Row} row
 * @param {string} title
 * @param {string} key
 * @returns {Point[]}
 */
function points(row, title, key) {
  const value = row[key]
  if (typeof value !== "number") return []
  const words = `${title} ${row.date.slice(0, 10)}: ${value.toFixed(3)} ${(row.words ?? []).join(", ")}`
  return [[Date.parse(row.date), value, !row.clear, words]]
}
