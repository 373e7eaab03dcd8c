// The tiles as a table: the same as the map says, in words.

import { $, number, plain } from "../shared/dom.js"
import { classes, classOf } from "./classes.js"
import { ofSite, page, state } from "./state.js"

/** Rows that are written at most. */
const MOST = 300

export function table() {
  const known = [...state.tiles].filter(([, row]) => row.followed && ofSite(row))
  const dated = known.filter(([, row]) => row.dates)
  const rows = (dated.length && !state.site ? dated : known).sort(
    ([a, one], [b, other]) => compare(one.site, other.site) || compare(a, b),
  )
  const words = new Map(classes().map((one) => [one.key, one.words]))
  const more = state.colour === "state" ? "" : "<th>Coloured as</th>"
  const left = rows.length > MOST ? `, ${number(MOST)} of ${number(rows.length)}: choose a site for the others` : ""
  $("count").textContent = `state of the latest date${left}`
  const lines = rows.slice(0, MOST).map(([tile, row]) => {
    const mark = row.simulated
      ? ` <span class="chip" style="background:${page.simulated};color:#fff">SIMULATED</span>`
      : ""
    const coloured = more ? `<td>${plain(words.get(classOf(row).key) ?? "")}</td>` : ""
    return `<tr><td><a href="/products?tile=${tile}">${tile}</a></td><td>${plain(row.site)}</td><td>${row.day || "–"}</td>
      <td>${chip(row.state)}${mark}</td>${coloured}<td class="num">${number(row.products)}</td>
      <td class="num">${number(row.dates)}</td></tr>`
  })
  $("table").innerHTML = `<table><thead><tr><th>Tile</th><th>Site</th><th>Latest date</th><th>State</th>${more}
    <th class="num">Products</th><th class="num">Dates</th></tr></thead><tbody>${lines.join("")}</tbody></table>`
}

/** @param {string} name */
function chip(name) {
  const [words, background] = state.colours[name]
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(background.slice(at, at + 2), 16)
    return part > 10 ? ((part / 255 + 0.055) / 1.055) ** 2.4 : part / 255 / 12.92
  })
  const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.179 ? "#ffffff" : "#000000" // as theme.ink
  return `<span class="chip" style="background:${background};color:${ink}">${plain(words)}</span>`
}

/**
 * @param {string} a
 * @param {string} b
 */
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
