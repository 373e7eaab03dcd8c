// Browse: asks again whenever a field changes, and draws where the products lie.

import { $, ask, data, plain } from "../shared/dom.js"
import { GroundMap } from "../shared/ground.js"
import { onTheme, theme } from "../shared/theme.js"

/** How long it waits for the next key or move of a slider. [ms] */
const PAUSE = 180

theme()
if (document.getElementById("form")) begin()

function begin() {
  const page = data()
  const form = /** @type {HTMLFormElement} */ ($("form"))
  const known = new Set(page.known)
  /** @type {Record<string, number>} */
  let counts = page.tiles
  let after = page.after
  /** @type {AbortController | null} */
  let asking = null
  const map = new GroundMap($("map"), (tile) => {
    if (counts[tile]) return { fill: page.colour, label: `${counts[tile]} shown`, level: 1 }
    return known.has(tile) ? { fill: "#A9B1BA", faint: true } : null
  })

  /** What the fields ask for; those that ask for nothing are left out. */
  function asked() {
    const query = new URLSearchParams()
    for (const field of /** @type {Iterable<HTMLInputElement>} */ (form.querySelectorAll("[name]"))) {
      const value = field.value.trim()
      if (value && value !== field.dataset.neutral) query.set(field.name, value)
    }
    return query
  }

  async function search() {
    const query = asked()
    history.replaceState(null, "", query.size ? `/browse?${query}` : "/browse")
    asking?.abort()
    asking = new AbortController()
    form.setAttribute("aria-busy", "true")
    try {
      const answer = await ask(`/browse/found?${query}`, asking.signal)
      for (const name of ["said", "query", "cards", "calendar"]) $(name).innerHTML = answer[name]
      counts = answer.tiles
      after = answer.after
      $("more").hidden = !after
      map.soon()
      map.show(Object.keys(counts))
    } catch (fault) {
      if (fault instanceof DOMException && fault.name === "AbortError") return
      $("said").innerHTML =
        `<div class="note" role="alert">${plain(fault instanceof Error ? fault.message : fault)}</div>`
    }
    form.setAttribute("aria-busy", "false")
  }

  let waiting = 0
  form.addEventListener("input", (event) => {
    const field = /** @type {HTMLInputElement} */ (event.target)
    const told = field.parentElement?.querySelector("output")
    if (told) told.textContent = field.value
    clearTimeout(waiting)
    // A word that is half written finds nothing: text is searched for once it is left, or with Enter.
    if (field.type === "range" || field.tagName === "SELECT") waiting = window.setTimeout(search, PAUSE)
  })
  form.addEventListener("change", (event) => {
    const field = /** @type {HTMLInputElement} */ (event.target)
    if (field.type === "text") search()
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    search()
  })
  $("more").onclick = async () => {
    const query = asked()
    query.set("after", after)
    const answer = await ask(`/browse/found?${query}`)
    $("cards").insertAdjacentHTML("beforeend", answer.cards)
    for (const [tile, count] of Object.entries(answer.tiles)) counts[tile] = (counts[tile] ?? 0) + Number(count)
    after = answer.after
    $("more").hidden = !after
    map.soon()
  }

  /** @param {string} name @param {string} value */
  function set(name, value) {
    const field = /** @type {HTMLInputElement} */ (form.elements.namedItem(name))
    field.value = value
    search()
  }
  $("map").addEventListener("click", (event) => {
    if (event.target instanceof HTMLButtonElement || map.dragged > 6) return
    const box = $("map").getBoundingClientRect()
    const tile = map.at(event.clientX - box.left, event.clientY - box.top)
    const field = /** @type {HTMLInputElement} */ (form.elements.namedItem("tile"))
    if (tile) set("tile", field.value ? "" : tile)
  })
  $("here").onclick = () => {
    const [west, north] = degrees(map.place(0, 0))
    const [east, south] = degrees(map.place(map.width, map.height))
    set("bbox", [Math.max(west, -180), south, Math.min(east, 180), north].map((value) => value.toFixed(3)).join())
  }
  $("in").onclick = () => map.zoom(1.6)
  $("out").onclick = () => map.zoom(1 / 1.6)
  onTheme(() => map.soon())
  ask(page.ground).then((ground) => {
    map.load(ground)
    map.around(page.around)
    if (!map.width) map.resize()
    map.element.dataset.ready = "true"
  })
}

/** Longitude and latitude [deg] of a place in Web Mercator [m]. @param {number[]} place */
function degrees([x, y]) {
  const radius = 6378137
  const latitude = (Math.atan(Math.sinh(y / radius)) * 180) / Math.PI
  return [((x / radius) * 180) / Math.PI, Math.min(85, Math.max(-85, latitude))]
}
