// Compare: two to four views of one tile with one extent, drawn from the tile service.

import { theme } from "../shared/theme.js"
import { draft } from "./area.js"
import { blink, change, mode } from "./change.js"
import { controls } from "./controls.js"
import { data, days, product } from "./data.js"
import { go, play, step } from "./dates.js"
import { $, input, make, options, select, selects } from "./dom.js"
import { canvases, paint } from "./drawing.js"
import { corner, extent, place, scale, size } from "./ground.js"
import { heads } from "./heads.js"
import { help, keys } from "./keys.js"
import { layout } from "./layout.js"
import { all, zoom } from "./move.js"
import { bandsOf } from "./sources.js"
import { remember, state } from "./state.js"

theme()

/** How long a view is shown while they blink by themselves. [ms] */
const BLINK = 800

function views() {
  select("tile").onchange = () => {
    location.href = `/compare?tile=${select("tile").value}`
  }
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-mode]")))
    button.onclick = () => mode(button.dataset.mode ?? "side")
  $("add").onclick = () => {
    state.views.push({ ...state.views[state.views.length - 1] })
    change()
  }
  $("versions").onclick = versions
  setInterval(() => {
    if (state.mode === "blink" && input("auto").checked) blink()
  }, BLINK)
}

/** The last two versions of the left view's image, and their difference. */
function versions() {
  const now = product(state.views[0].product)
  const same = data.products.filter((one) => one.time === now.time && one.platform === now.platform)
  if (same.length < 2) {
    $("said").textContent = `${now.day} is there in ${now.version} only`
    return
  }
  const [a, b] = same.slice(-2)
  const [first] = state.views
  state.views = [
    { ...first, product: a.id },
    { ...first, product: b.id },
    { ...first, product: b.id, layer: "difference", mask: "agreement-CLM", bits: 1 },
  ]
  state.mode = "side"
  change()
}

function masks() {
  input("opacity").oninput = () => {
    state.opacity = Number(input("opacity").value)
    remember()
    paint()
  }
  select("pattern").onchange = () => {
    state.pattern = select("pattern").value
    remember()
    paint()
  }
}

function reflectances() {
  const range = () => {
    const [low, high] = [Number(input("low").value || 0), Number(input("high").value)]
    state.range = high > low ? `${low},${high}` : ""
    change()
  }
  input("low").onchange = range
  input("high").onchange = range
  $("fit").onclick = fit
  $("own").onclick = () => {
    state.range = ""
    change()
  }
  input("width").onchange = () => {
    state.width = Math.max(0.001, Number(input("width").value))
    change()
  }
  for (const one of selects("three"))
    one.onchange = () => {
      state.bands = selects("three")
        .map(({ value }) => value)
        .join(",")
      change()
    }
  const [one] = selects("one")
  one.onchange = () => {
    state.band = one.value
    change()
  }
}

/** Stretches the reflectances to what the left view shows. */
async function fit() {
  const [ox, oy] = corner()
  const view = state.views[0]
  const bands = ["rgb", "band"].includes(view.layer) ? bandsOf(view.layer) : "SRE_B4,SRE_B3,SRE_B2"
  const box = [ox, oy, ox + size.width, oy + size.height].map((pixels) => Math.round(pixels / scale()))
  const answer = await fetch(`/api/compare/range/${view.product}?bands=${bands}&window=${box.join(",")}`)
  const found = await answer.json()
  if (!answer.ok) {
    $("said").textContent = found.detail
    return
  }
  state.range = `${found.low},${found.high}`
  change()
}

function dates() {
  $("play").onclick = play
  $("before").onclick = () => step(-1)
  $("after").onclick = () => step(1)
  input("day").max = String(days.length - 1)
  input("day").oninput = () => go(days[Number(input("day").value)])
  $("strip").append(...days.map(bar))
  for (const end of [select("since"), select("until")]) {
    options(
      end,
      days.map((day) => [day, day]),
      "",
    )
    end.onchange = film
  }
}

/**
 * A date in the strip, as high as it is clear.
 * @param {string} day
 */
function bar(day) {
  const clouds = data.products.flatMap((one) => (one.day === day && one.cloud !== null ? [one.cloud] : []))
  const cloud = clouds.length ? Math.min(...clouds) : 0
  const button = make("button", { title: `${day}: ${Math.round(cloud)} % cloud`, onclick: () => go(day) })
  button.dataset.day = day
  button.style.setProperty("--cloud", `${cloud}%`)
  return button
}

/** Takes the ends of the film. */
function film() {
  const [since, until] = [select("since").value, select("until").value].sort()
  state.film = since === days[0] && until === days[days.length - 1] ? "" : `${since},${until}`
  controls()
  remember()
}

function moves() {
  $("in").onclick = () => zoom(1)
  $("out").onclick = () => zoom(-1)
  $("all").onclick = all
  $("polygon").onclick = draft
  $("help").onclick = help
  addEventListener("resize", layout)
}

window.compare = { state, complete: 0, extents: () => canvases.map(({ canvas }) => extent(canvas)) }
for (const wire of [views, masks, reflectances, dates, moves, keys]) wire()
await heads(change)
controls()
layout()
place()
paint()
