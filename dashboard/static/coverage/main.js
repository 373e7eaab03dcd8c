// Coverage: the map and its legend, the time, the table; what changes is drawn tile by tile.

import { $, ask, input, number, plain, select } from "../shared/dom.js"
import { GroundMap } from "../shared/ground.js"
import { onTheme, theme } from "../shared/theme.js"
import { classes, classOf, fill, swatch } from "./classes.js"
import { drawMatrix, loadMatrix, openCell } from "./matrix.js"
import { keep, ofSite, page, query, reload, renew, state } from "./state.js"
import { table } from "./table.js"

/** How often it is asked for what changed. [ms] */
const EVERY = 5000
/** How long a month of the film is shown. [ms] */
const FILM = 700

/** @type {Map<string, import("./classes.js").Class>} */
let shown = new Map()

const map = new GroundMap($("map"), (tile) => {
  const row = state.tiles.get(tile)
  if (!row) return null
  const { key, label } = classOf(row)
  const one = shown.get(key)
  const level = key === "absent" ? 0 : row.dates ? 2 : 1
  return one ? { fill: fill(one), label, faint: key === "absent", level } : null
})

/** Legend with the number of tiles of each class. */
function legend() {
  const all = classes()
  shown = new Map(all.map((one) => [one.key, one]))
  const counts = new Map()
  for (const row of state.tiles.values()) {
    const { key } = classOf(row)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  $("legend").replaceChildren(
    ...all.map((one) => {
      const entry = document.createElement("span")
      entry.append(swatch(one), `${one.words} (${number(counts.get(one.key) ?? 0)})`)
      return entry
    }),
  )
}

function figures() {
  const rows = [...state.tiles.values()]
  const followed = rows.filter((row) => row.followed)
  const sites = new Set(followed.flatMap((row) => (row.site ? row.site.split(", ") : [])))
  const sum = (/** @type {"dates" | "products"} */ what) => followed.reduce((all, row) => all + row[what], 0)
  const kpi = (/** @type {string} */ label, /** @type {number} */ value, /** @type {string} */ note, link = "") => {
    const body = `<span>${label}</span><b>${number(value)}</b><span>${note}</span>`
    return link ? `<a class="kpi" href="${link}">${body}</a>` : `<div class="kpi">${body}</div>`
  }
  $("kpis").innerHTML = [
    kpi("Tiles", followed.length, `of ${number(sites.size)} sites; ${number(page.theia)} of THEIA on the map`),
    kpi("With dates", followed.filter((row) => row.dates).length, "tiles"),
    kpi("Latest date published", followed.filter((row) => row.state === "published").length, "tiles"),
    kpi("Products", sum("products"), `of ${number(sum("dates"))} dates`, "/products"),
  ].join("")
}

/** What does not depend on the map: legend, figures, table, links. */
function around() {
  legend()
  figures()
  table()
  const address = keep()
  for (const [id, format] of [
    ["csv", "csv"],
    ["geojson", "geojson"],
  ])
    $(id).setAttribute("href", `/api/coverage/export?${query({ site: state.site, format })}`)
  $("permalink").setAttribute("href", address)
  $("matrixcsv").setAttribute("href", `/api/coverage/matrix?format=csv&version=${encodeURIComponent(state.version)}`)
  $("month").textContent = state.until || (state.months.length ? `now (${state.months.at(-1)})` : "no dates yet")
}

/** @param {{changed: string[], answer: any}} found */
function told({ changed, answer }) {
  const age = document.querySelector("[data-snapshot]")
  if (age) age.outerHTML = answer.age
  $("said").textContent = answer.fault ? `The store can't be read: ${answer.fault}` : ""
  return changed
}

/** @param {unknown} fault */
function failed(fault) {
  if (fault instanceof DOMException && fault.name === "AbortError") return
  $("said").textContent = `Not renewed: ${fault instanceof Error ? fault.message : fault}. What is shown is older.`
}

/** All tiles anew: another period or version. */
async function anew() {
  try {
    told(await reload())
  } catch (fault) {
    failed(fault)
    return
  }
  around()
  map.soon()
}

/** Draws the tiles that changed, and nothing else. */
async function patch() {
  if (document.hidden) return
  try {
    const began = performance.now()
    const found = await renew()
    const changed = told(found)
    if (!changed.length) return
    const before = [...shown.values()].map((one) => one.words).join()
    around()
    // A new bound of the classes is a new map; else only these tiles are drawn.
    if ([...shown.values()].map((one) => one.words).join() === before) map.patch(changed)
    else map.soon()
    performance.measure("patch", { start: began, end: performance.now() })
    if (changed.includes(state.tile)) open(state.tile)
    loadMatrix()
  } catch (fault) {
    failed(fault)
  }
}

/**
 * Opens the calendar of a tile; an empty name closes it.
 * @param {string} tile
 * @param {number | null} [year]
 */
async function open(tile, year = state.year) {
  const before = state.tile
  state.tile = tile
  state.year = year
  input("find").value = tile
  map.marked = new Set(tile ? [tile] : [])
  map.patch([before, tile].filter(Boolean))
  keep()
  if (!tile) {
    $("calendar").innerHTML = '<p class="soft">A click on a tile opens its calendar.</p>'
    return
  }
  const asked = new URLSearchParams({ version: state.version, ...(year ? { year: String(year) } : {}) })
  const answer = await fetch(`/api/coverage/calendar/${encodeURIComponent(tile)}?${asked}`)
  if (state.tile !== tile) return
  $("calendar").innerHTML = answer.ok
    ? await answer.text()
    : `<p>${plain(tile)} is no tile: an id is such as 31TCJ.</p>`
}

/** What the pointer says of a tile. @param {string} tile */
function tip(tile) {
  const row = /** @type {import("./state.js").Row} */ (state.tiles.get(tile))
  const one = shown.get(classOf(row).key)
  const lines = [`<b>${plain(tile)}</b> ${plain(row.site)}`]
  if (!row.followed) lines.push("Not followed by this centre")
  else {
    lines.push(row.dates ? `Latest date ${row.day}: ${plain(state.colours[row.state][0])}` : "No date in the period")
    lines.push(`${number(row.products)} products of ${number(row.dates)} dates${row.version ? `, ${row.version}` : ""}`)
    if (row.known) lines.push(`${row.clear} of ${row.known} dates clear (cloud up to ${page.clear} %)`)
    if (row.delay !== null)
      lines.push(
        `Delay ${row.delay < 48 ? `${Math.round(row.delay)} h` : `${Math.round(row.delay / 24)} days`} (median)`,
      )
    if (row.valid) lines.push(`Last valid date ${row.valid}`)
    if (row.missing) lines.push(`${row.missing} passes missing`)
    if (row.simulated) lines.push("SIMULATED")
    if (one && state.colour !== "state") lines.push(plain(one.words))
  }
  return lines.join("<br>")
}

function pointing() {
  const note = $("tip")
  $("map").addEventListener("pointermove", (event) => {
    const box = $("map").getBoundingClientRect()
    const [x, y] = [event.clientX - box.left, event.clientY - box.top]
    const tile = event.target instanceof HTMLButtonElement ? null : map.at(x, y)
    note.hidden = !tile
    if (!tile) return
    note.innerHTML = tip(tile)
    note.style.left = `${Math.max(4, Math.min(x + 14, box.width - note.offsetWidth - 8))}px`
    note.style.top = `${Math.max(4, Math.min(y + 14, box.height - note.offsetHeight - 8))}px`
  })
  $("map").addEventListener("pointerleave", () => {
    note.hidden = true
  })
  $("map").addEventListener("click", (event) => {
    if (event.target instanceof HTMLButtonElement || map.dragged > 6) return
    const box = $("map").getBoundingClientRect()
    open(map.at(event.clientX - box.left, event.clientY - box.top) ?? "", null)
  })
}

/** Tiles that the map shows as a whole: of the site, else those with dates, else those that are followed. */
function whole() {
  const rows = [...state.tiles].filter(([, row]) => row.followed && ofSite(row))
  const dated = rows.filter(([, row]) => row.dates)
  map.show((dated.length && !state.site ? dated : rows).map(([tile]) => tile))
}

/** @param {number} place Of the month; the last one is now. */
function month(place) {
  const last = state.months.length - 1
  const at = Math.min(Math.max(place, 0), last)
  input("until").value = String(at)
  state.until = at === last && !state.span ? "" : (state.months[at] ?? "")
  anew()
}

function choices() {
  $("choices").addEventListener("submit", (event) => event.preventDefault())
  select("colour").onchange = () => {
    state.colour = select("colour").value
    around()
    map.soon()
  }
  select("site").onchange = () => {
    state.site = select("site").value
    around()
    whole()
    drawMatrix()
  }
  select("version").onchange = () => {
    state.version = select("version").value
    anew()
    loadMatrix()
    if (state.tile) open(state.tile)
  }
  select("span").onchange = () => {
    state.span = Number(select("span").value)
    month(Number(input("until").value))
  }
  input("until").oninput = () => month(Number(input("until").value))
  $("earlier").onclick = () => month(Number(input("until").value) - 1)
  $("later").onclick = () => month(Number(input("until").value) + 1)
  input("find").onchange = () => {
    const tile = input("find")
      .value.trim()
      .toUpperCase()
      .replace(/^T(?=.{5}$)/, "")
    open(tile, null)
    if (map.tiles.has(tile)) map.show([tile])
  }
  const list = [...state.tiles].filter(([, row]) => row.followed).map(([tile]) => `<option value="${tile}">`)
  $("tiles").innerHTML = list.join("")
  let film = 0
  $("film").onclick = () => {
    clearInterval(film)
    const playing = $("film").getAttribute("aria-pressed") === "true"
    $("film").setAttribute("aria-pressed", String(!playing))
    if (playing) return
    film = window.setInterval(() => {
      const next = Number(input("until").value) + 1
      month(next >= state.months.length ? 0 : next)
    }, FILM)
  }
  $("in").onclick = () => map.zoom(1.6)
  $("out").onclick = () => map.zoom(1 / 1.6)
  $("whole").onclick = whole
  $("png").onclick = png
  $("calendar").addEventListener("click", (event) => {
    const year = event.target instanceof HTMLElement ? event.target.dataset.year : undefined
    if (!year) return
    event.preventDefault()
    open(state.tile, Number(year))
  })
}

/** The map with its legend as a picture to keep. */
function png() {
  const pixels = devicePixelRatio
  const all = [...shown.values()]
  const columns = Math.max(1, Math.floor(map.width / 210))
  const height = map.height + 46 + 20 * Math.ceil(all.length / columns)
  const canvas = document.createElement("canvas")
  canvas.width = map.width * pixels
  canvas.height = height * pixels
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
  pen.scale(pixels, pixels)
  pen.fillStyle = "#fff"
  pen.fillRect(0, 0, map.width, height)
  pen.drawImage(map.ground, 0, 30, map.width, map.height)
  pen.drawImage(map.drawn, 0, 30, map.width, map.height)
  pen.fillStyle = "#111"
  pen.font = "600 14px Roboto, Helvetica, Arial, sans-serif"
  const chosen = select("colour").selectedOptions[0]?.textContent ?? ""
  const until = state.until || new Date(state.taken).toISOString().slice(0, 10)
  const simulated = [...state.tiles.values()].some((row) => row.simulated) ? " · SIMULATED" : ""
  pen.fillText(`${chosen} · until ${until}${state.version ? ` · ${state.version}` : ""}${simulated}`, 8, 20)
  pen.font = "12px Roboto, Helvetica, Arial, sans-serif"
  for (const [place, one] of all.entries()) {
    const [x, y] = [8 + 210 * (place % columns), map.height + 42 + 20 * Math.floor(place / columns)]
    pen.fillStyle = fill(one)
    pen.fillRect(x, y, 18, 14)
    pen.fillStyle = "#111"
    pen.fillText(one.words, x + 24, y + 11)
  }
  canvas.toBlob((blob) => {
    if (!blob) return
    const link = document.createElement("a")
    link.href = URL.createObjectURL(blob)
    link.download = "coverage.png"
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
  })
}

theme()
onTheme(() => {
  map.soon()
  drawMatrix()
})
choices()
pointing()
around()
map.marked = new Set(state.tile ? [state.tile] : [])
ask(page.ground).then((ground) => {
  map.load(ground)
  map.around(page.around)
  if (!map.width) map.resize()
  map.element.dataset.ready = "true"
  requestAnimationFrame(() => setTimeout(loadMatrix, 0))
}, failed)
openCell((tile, month) => open(tile, Number(month.slice(0, 4))))
setInterval(patch, EVERY)
document.addEventListener("visibilitychange", patch)
