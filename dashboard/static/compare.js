// Compare: two to four views of one tile with one extent, drawn from the tile service.
//
// Zoom levels are powers of two, so a pixel of a product is a whole number of screen pixels (or the mean of a whole
// number of them makes one), and every layer of every view is drawn at the same whole offsets: a mask pixel covers its
// reflectance pixel exactly, and all views show the same ground.

const D = JSON.parse(document.getElementById("data").textContent)
const NAMES = ["left", "right", "third", "fourth"]
const COLOURS = ["#0096FF", "#E69F00", "#00A087", "#CC79A7"]
const SIZE = 512, NATIVE = 5, LAST = 9, DEEPEST = 11, CACHE = 240
const REFLECTANCE = ["natural", "false", "natural-flat", "rgb", "band", "toa", "toa-rgb", "toa-band"]
const $ = (id) => document.getElementById(id)
const make = (tag, attributes = {}, ...content) => {
  const element = Object.assign(document.createElement(tag), attributes)
  element.append(...content)
  return element
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value))
const products = new Map(D.products.map((product) => [product.id, product]))
const days = [...new Set(D.products.map((product) => product.day))].sort()
const ratio = window.devicePixelRatio || 1

// ---------------------------------------------------------------- state and permalink

const asked = new URLSearchParams(location.search)
const state = {
  views: D.chosen.map((product, i) => ({
    product,
    layer: asked.get(`${NAMES[i]}.layer`) || asked.get("layer") || "natural",
    mask: asked.get(`${NAMES[i]}.mask`) ?? asked.get("mask") ?? (i === 1 && !asked.get("right") ? "CLM" : ""),
    bits: Number(asked.get(`${NAMES[i]}.bits`)) || 0,
    fault: "",
  })),
  mode: ["swipe", "blink"].includes(asked.get("mode")) ? asked.get("mode") : "side",
  opacity: Number(asked.get("opacity") ?? 0.6),
  pattern: asked.get("pattern") || "fill",
  range: asked.get("range") || "",
  bands: asked.get("bands") || "SRE_B11,SRE_B8,SRE_B4",
  band: asked.get("band") || "SRE_B4",
  width: Number(asked.get("width")) || 0.05,
  film: asked.get("film") || "", // first and last date of the film; empty: all dates
  z: 0, cx: D.cols / 2, cy: D.rows / 2, // centre in pixels of 10 m from the north-west corner
}
let shown = 0, swipe = 0.5, masked = true, pin = null, hover = null, drawing = null, film = null

function place() {
  const at = (asked.get("at") || "").split(",").map(Number)
  if (at.length === 3 && at.every(Number.isFinite)) {
    state.cx = (at[0] - D.west) / 10
    state.cy = (D.north - at[1]) / 10
    state.z = clamp(Math.round(at[2]), 0, DEEPEST)
  } else whole()
}

function whole() {
  state.cx = D.cols / 2
  state.cy = D.rows / 2
  const fit = Math.min(size.width / D.cols, size.height / D.rows)
  state.z = clamp(Math.floor(Math.log2(fit) + 0.06) + NATIVE, 0, NATIVE)
}

let remembering = 0
function remember() {
  clearTimeout(remembering)
  remembering = setTimeout(() => history.replaceState(null, "", permalink()), 150)
}

function permalink() {
  const parts = new URLSearchParams()
  state.views.forEach((view, i) => {
    parts.set(NAMES[i], view.product)
    parts.set(`${NAMES[i]}.layer`, view.layer)
    parts.set(`${NAMES[i]}.mask`, view.mask)
    if (view.mask) parts.set(`${NAMES[i]}.bits`, view.bits)
  })
  const own = { mode: "side", opacity: 0.6, pattern: "fill", range: "", bands: "SRE_B11,SRE_B8,SRE_B4", band: "SRE_B4", width: 0.05, film: "" }
  for (const [name, value] of Object.entries(own)) if (state[name] !== value) parts.set(name, state[name])
  parts.set("at", `${Math.round(D.west + state.cx * 10)},${Math.round(D.north - state.cy * 10)},${state.z}`)
  return `/compare?${parts.toString().replaceAll("%2C", ",")}`
}

// ---------------------------------------------------------------- what a view is drawn from

const encode = (parameters) => Object.entries(parameters).filter(([, v]) => v !== "").map(([k, v]) => `&${k}=${v}`).join("")

function base(view) {
  if (view.layer === "none") return null
  const parameters = {}
  if (REFLECTANCE.includes(view.layer)) {
    parameters.range = state.range
    parameters.lossy = state.z > NATIVE ? "" : 1 // enlarged pixels come exactly
  }
  if (view.layer === "rgb") parameters.bands = state.bands
  if (view.layer === "band") parameters.bands = state.band
  if (view.layer.startsWith("toa")) {
    const bands = { "toa-rgb": state.bands, "toa-band": state.band }[view.layer]
    if (bands) parameters.bands = bands.replace(/[SF]RE_/g, "")
    return source(view.product, "toa", parameters, NATIVE)
  }
  if (view.layer.startsWith("difference")) {
    parameters.bands = view.layer === "difference" ? state.band : "ndvi"
    parameters.range = `${-state.width},${state.width}`
    return source(state.views[0].product, "difference", parameters, NATIVE, view.product)
  }
  return source(view.product, view.layer, parameters, NATIVE)
}

function overlay(view) {
  if (!view.mask || !masked || !view.bits) return null
  const parameters = { bits: view.bits, pattern: state.pattern === "fill" ? "" : state.pattern }
  const last = state.pattern === "fill" ? NATIVE : LAST // lines stay thin when enlarged
  if (view.mask.startsWith("reference")) return source(view.product, "reference", { ...parameters, mask: view.mask.split("-")[1] }, last)
  if (!view.mask.startsWith("agreement")) return source(view.product, view.mask, parameters, last)
  parameters.bands = view.mask.split("-")[1]
  return source(state.views[0].product, "agreement", parameters, last, view.product)
}

function source(product, layer, parameters, last, second) {
  const digests = [product, second].filter(Boolean).map((id) => products.get(id).v).join(",")
  const rest = `?v=${digests}${encode(parameters)}${second ? `&with=${second}` : ""}`
  return { last, url: (z, x, y) => `/tiles/${product}/${layer}/${z}/${x}/${y}${rest}` }
}

// ---------------------------------------------------------------- tiles

const tiles = new Map() // address -> {image, ready, fault}; the one used longest ago is first

function tile(url, fetching) {
  let found = tiles.get(url)
  if (found) {
    tiles.delete(url)
    tiles.set(url, found)
    return found
  }
  if (!fetching) return null
  found = { image: new Image(), ready: false, fault: "" }
  found.image.onload = () => found.image.decode().catch(() => {}).then(() => { found.ready = true; paint() })
  found.image.onerror = async () => {
    found.ready = true
    found.image = null
    const answer = await fetch(url).catch(() => null)
    if (!answer || answer.status >= 400) found.fault = answer ? (await answer.json()).detail : "the server doesn't answer"
    paint()
  }
  found.image.src = url
  tiles.set(url, found)
  return found
}

function forget(needed) {
  for (const [url, found] of tiles) {
    if (!found.ready && !needed.has(url)) {
      found.image.onerror = found.image.onload = null
      found.image.src = ""
      tiles.delete(url)
    } else if (tiles.size > CACHE && found.ready && !needed.has(url)) tiles.delete(url)
  }
}

// ---------------------------------------------------------------- drawing

const canvases = []
let size = { width: 0, height: 0 } // of one canvas, in screen pixels
const scale = () => 2 ** (state.z - NATIVE) // screen pixels of a pixel of 10 m
const corner = () => [Math.round(state.cx * scale()) - Math.floor(size.width / 2),
                      Math.round(state.cy * scale()) - Math.floor(size.height / 2)]

/** Draws one source; says how many of its tiles are still missing. */
function draw(context, spec, needed, faults, left = 0) {
  const zt = clamp(state.z, 0, spec.last), side = SIZE * 2 ** (state.z - zt)
  const [ox, oy] = corner()
  const count = (pixels) => Math.ceil((pixels * 2 ** (zt - NATIVE)) / SIZE)
  let missing = 0
  for (let y = Math.max(0, Math.floor(oy / side)); y < count(D.rows) && y * side - oy < size.height; y++)
    for (let x = Math.max(0, Math.floor((ox + left) / side)); x < count(D.cols) && x * side - ox < size.width; x++) {
      const url = spec.url(zt, x, y), found = tile(url, true)
      needed.add(url)
      if (found.fault) faults.add(found.fault)
      if (found.ready) {
        if (found.image) context.drawImage(found.image, x * side - ox, y * side - oy, side, side)
        continue
      }
      missing += 1
      for (let up = 1; up <= zt; up++) { // a coarser tile until the sharp one is there
        const coarse = tile(spec.url(zt - up, x >> up, y >> up), false)
        if (!coarse?.ready || !coarse.image) continue
        const part = SIZE / 2 ** up
        context.drawImage(coarse.image, (x % 2 ** up) * part, (y % 2 ** up) * part, part, part,
                          x * side - ox, y * side - oy, side, side)
        break
      }
    }
  return missing
}

function drawView(context, view, needed, left = 0) {
  const faults = new Set(), [ox, oy] = corner()
  let missing = 0
  const under = base(view), over = overlay(view)
  context.save()
  context.beginPath()
  context.rect(-ox, -oy, D.cols * scale(), D.rows * scale()) // cells of the composite may reach beyond the tile
  context.clip()
  if (under) missing += draw(context, under, needed, faults, left)
  if (over) {
    context.globalAlpha = state.opacity
    missing += draw(context, over, needed, faults, left)
    context.globalAlpha = 1
  }
  context.restore()
  view.fault = [...faults].join("; ")
  return missing
}

let planned = false, painted = 0
function paint() {
  if (planned) return
  planned = true
  requestAnimationFrame(() => {
    planned = false
    const needed = new Set()
    let missing = 0
    canvases.forEach(({ context }, i) => {
      context.imageSmoothingEnabled = false
      context.clearRect(0, 0, size.width, size.height)
      if (state.mode === "side") missing += drawView(context, state.views[i], needed)
      else if (state.mode === "blink") {
        state.views.forEach((view, k) => { if (k !== shown) missing += drawView(spare, view, needed) })
        missing += drawView(context, state.views[shown], needed)
      } else {
        const edge = Math.round(swipe * size.width)
        missing += drawView(context, state.views[0], needed)
        context.clearRect(edge, 0, size.width, size.height)
        context.save()
        context.beginPath()
        context.rect(edge, 0, size.width, size.height)
        context.clip()
        missing += drawView(context, state.views[1], needed, edge)
        context.restore()
      }
    })
    forget(needed)
    furniture()
    document.documentElement.dataset.missing = missing
    if (!missing) {
      document.documentElement.dataset.complete = ++painted
      window.compare.complete = performance.now()
      waiting.splice(0).forEach((go) => go())
    }
  })
}
const spare = make("canvas", { width: 1, height: 1 }).getContext("2d") // tiles of hidden views are fetched, not shown
const waiting = []
const complete = () => new Promise((go) => { waiting.push(go); paint() })

// ---------------------------------------------------------------- the page

function layout() {
  const count = state.mode === "side" ? state.views.length : 1
  const area = $("canvases"), columns = innerWidth < 700 ? 1 : count > 3 && innerWidth < 1700 ? 2 : count
  const rows = Math.ceil(count / columns)
  if (canvases.length !== count) {
    area.replaceChildren()
    canvases.length = 0
    for (let i = 0; i < count; i++) {
      const canvas = make("canvas"), box = make("div", { className: "view" })
      canvas.setAttribute("aria-label", `View ${NAMES[i]}`)
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
      box.append(canvas, svg, make("i", { className: "cross" }), make("div", { className: "north", textContent: "N ↑" }),
                 make("div", { className: "bar" }), make("div", { className: "edge" }), make("div", { className: "names" }), make("div", { className: "fault" }))
      area.append(box)
      canvases.push({ canvas, box, svg, context: canvas.getContext("2d") })
      gestures(canvas)
    }
  }
  const width = Math.floor((area.clientWidth - 6 * (columns - 1)) / columns)
  const free = innerHeight - area.getBoundingClientRect().top - scrollY - $("time").offsetHeight - 30
  const least = innerWidth < 700 ? Math.min(width, Math.floor(innerHeight * 0.42)) : 220 // a phone shows two at once
  const height = Math.max(least, Math.floor((free - 6 * (rows - 1)) / rows))
  size = { width: Math.floor(width * ratio), height: Math.floor(height * ratio) }
  area.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`
  for (const { canvas, box } of canvases) {
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size)
    for (const element of [canvas, box]) Object.assign(element.style, { width: `${width}px`, height: `${height}px` })
  }
  paint()
}

/** Scale bars, drawn areas, faults and the divider: what lies over the images. */
function furniture() {
  const metres = 10 / scale() * ratio // of a CSS pixel
  const length = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4].map((e) => n * 10 ** (e + 1))).sort((a, b) => a - b)
    .filter((m) => m / metres <= 140).pop() || 10
  const [ox, oy] = corner()
  const points = (drawing?.points || []).map(([x, y]) => [(x * scale() - ox) / ratio, (y * scale() - oy) / ratio])
  canvases.forEach(({ box, svg }, i) => {
    const bar = box.querySelector(".bar")
    bar.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`
    bar.style.width = `${length / metres}px`
    svg.innerHTML = points.length ? `<polygon points="${points.map((p) => p.join(",")).join(" ")}"/>` : ""
    const edge = box.querySelector(".edge")
    edge.hidden = state.mode !== "swipe"
    edge.style.left = `${(swipe * size.width) / ratio}px`
    const named = state.mode === "side" ? [i] : state.mode === "blink" ? [shown] : [0, 1]
    box.querySelector(".names").replaceChildren(...named.map((k) =>
      make("span", {}, make("i", { style: `background:${COLOURS[k]}` }), called(state.views[k]))))
    const faults = state.mode === "side" ? [state.views[i].fault, ...faulty(state.views[i])] : state.views.flatMap((v) => [v.fault, ...faulty(v)])
    const said = [...new Set(faults.filter(Boolean))].join("; ")
    box.querySelector(".fault").textContent = said && `This product is damaged: ${said}`
  })
}
/** What a view shows, in words on the view. */
const called = (view) => {
  const { day, version } = products.get(view.product)
  const image = { none: "", difference: "difference", "difference-ndvi": "difference of NDVI", "toa-rgb": "TOA", "toa-band": "TOA" }
  const bands = { rgb: state.bands, band: state.band, "toa-rgb": state.bands, "toa-band": state.band, difference: state.band }[view.layer]
  const said = bands?.replaceAll("_", " ").replaceAll(",", ", ").replace(/[SF]RE /g, (kind) => view.layer.startsWith("toa") ? "" : kind)
  const own = ["rgb", "band"].includes(view.layer) ? said : [image[view.layer] ?? D.layers[view.layer], said].filter(Boolean).join(" ")
  const kept = offered.get(view.product)?.kept.find(({ id }) => view.mask === `reference-${id}`)
  const mask = kept ? `kept mask: ${kept.title}` : view.mask.startsWith("agreement") ? `${kindOf(view.mask)} agreed or not` : view.mask
  const parts = [`${day} ${version}`, own, masked ? mask : ""]
  return parts.filter(Boolean).join(" · ")
}
const faulty = (view) => offered.get(view.product)?.faults || []

const offered = new Map(Object.entries(D.offered))
async function offer(id) {
  if (!offered.has(id)) {
    const answer = await fetch(`/api/compare/product/${id}`)
    offered.set(id, answer.ok ? await answer.json() : { layers: [], bands: [], kept: [], faults: [(await answer.json()).detail] })
  }
  return offered.get(id)
}

const word = (product) => `${product.day} ${product.platform} ${product.version}` +
  (product.cloud === null ? "" : ` · ${Math.round(product.cloud)} % cloud`) + (product.valid ? "" : " · withdrawn")

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, text]) => make("option", { value: key, textContent: text, selected: key === value })))
}

async function heads() {
  await Promise.all(state.views.map((view) => offer(view.product)))
  $("heads").replaceChildren(...state.views.map((view, i) => {
    const own = offered.get(view.product), later = i > 0
    const images = [...own.layers.filter((name) => !D.masks[name]).map((name) => [name, D.layers[name]]),
      ...(own.layers.includes("toa") ? [["toa-rgb", "TOA (L1C): three bands"], ["toa-band", "TOA (L1C): one band"]] : []),
      ...(later ? [["difference", "Difference to the left view: one band"], ["difference-ndvi", "Difference to the left view: NDVI"]] : []),
      ["none", "No image"]]
    const masks = [["", "No mask"], ...own.layers.filter((name) => D.masks[name]).map((name) => [name, D.layers[name]]),
      ...own.kept.map(({ id, title }) => [`reference-${id}`, `Kept mask: ${title}`]),
      ...(later ? ["CLM", "MG2"].map((kind) => [`agreement-${kind}`, `${kind}: agreed with the left view or not`]) : [])]
    if (!images.some(([name]) => name === view.layer)) view.layer = images[0][0]
    if (!masks.some(([name]) => name === view.mask)) view.mask = ""
    if (view.mask && !view.bits) view.bits = standard(view.mask)
    const product = make("select", { title: view.product }), layer = make("select"), mask = make("select")
    product.setAttribute("aria-label", `Product of view ${NAMES[i]}`)
    layer.setAttribute("aria-label", `Image of view ${NAMES[i]}`)
    mask.setAttribute("aria-label", `Mask of view ${NAMES[i]}`)
    options(product, D.products.map((p) => [p.id, word(p)]), view.product)
    options(layer, images, view.layer)
    options(mask, masks, view.mask)
    product.onchange = () => { view.product = product.value; change() }
    layer.onchange = () => { view.layer = layer.value; change() }
    mask.onchange = () => { view.mask = mask.value; view.bits = standard(mask.value); change() }
    const chosen = products.get(view.product)
    const mark = chosen.simulated ? [make("span", { className: "simulated", textContent: "SIMULATED" })] : []
    const close = state.views.length > 2 ? [make("button", { textContent: "×", title: "Close this view", onclick: () => { state.views.splice(i, 1); shown = 0; change() } })] : []
    return make("div", { className: "head" }, make("i", { style: `background:${COLOURS[i]}` }), product, ...mark, ...close,
      make("div", { className: "what" }, layer, mask), legend(view))
  }))
}

const kindOf = (mask) => mask.startsWith("reference") ? "reference" : mask.replace("agreement-", "")
const standard = (mask) => !mask ? 0 : mask.startsWith("agreement") ? 1 * (kindOf(mask) === "CLM" ? 1 : 2)
  : D.masks[kindOf(mask)].filter((bit) => bit.shown).reduce((sum, bit) => sum | bit.bit, 0)

/** Colours of a mask, each with its switch, and the scale of the image. */
function legend(view) {
  const box = make("div", { className: "legend" })
  const band = ["band", "toa-band"].includes(view.layer)
  const ramp = D.ramps[view.layer.startsWith("difference") ? "difference" : band ? "band" : view.layer]
  if (ramp) {
    const [low, high] = view.layer.startsWith("difference") ? [-state.width, state.width] : band && state.range ? state.range.split(",") : ramp.ends
    box.append(make("span", {}, `${low}`, make("b", { style: `background:linear-gradient(90deg,${ramp.colours.join(",")})` }), `${high} ${ramp.unit}`))
  }
  if (view.mask.startsWith("agreement"))
    for (const [name, text] of [["both", "in both"], ["first", "only left"], ["second", "only here"]])
      box.append(make("span", {}, make("i", { style: `background:${D.agreement[name]}` }), text))
  if (view.mask)
    for (const bit of D.masks[kindOf(view.mask)]) {
      const input = make("input", { type: "checkbox", checked: (view.bits & bit.bit) > 0 })
      input.onchange = () => { view.bits ^= bit.bit; remember(); paint() }
      const colour = view.mask.startsWith("agreement") ? "" : `background:${bit.colour}`
      box.append(make("label", {}, input, make("i", { style: colour }), bit.words))
    }
  return box
}

async function change() {
  await heads()
  controls()
  remember()
  layout()
  inspect()
}

function controls() {
  for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === state.mode)
  const all = offered.get(state.views[0].product)?.bands || []
  const used = state.views.map((view) => view.layer)
  $("three").hidden = !used.some((name) => name === "rgb" || name === "toa-rgb")
  $("one").hidden = !used.some((name) => ["band", "toa-band", "difference"].includes(name))
  $("differences").hidden = !used.some((name) => name.startsWith("difference"))
  state.bands.split(",").forEach((band, i) => options($("three").querySelectorAll("select")[i], all.map((b) => [b, b.replace("_", " ")]), band))
  options($("one").querySelector("select"), all.map((b) => [b, b.replace("_", " ")]), state.band)
  const [low, high] = state.range ? state.range.split(",") : ["", ""]
  $("low").value = low
  $("high").value = high
  $("width").value = state.width
  $("opacity").value = state.opacity
  $("pattern").value = state.pattern
  $("add").disabled = state.views.length >= 4
  const day = products.get(state.views[0].product).day
  $("day").value = days.indexOf(day)
  $("today").textContent = day
  const shown = period()
  $("since").value = shown[0]
  $("until").value = shown[shown.length - 1]
  document.querySelectorAll("#strip button").forEach((bar) => {
    bar.setAttribute("aria-current", bar.dataset.day === day)
    bar.classList.toggle("out", !shown.includes(bar.dataset.day))
  })
}

/** Every view goes to a date, each in its version where that has it. */
async function go(day) {
  for (const view of state.views) {
    const now = products.get(view.product)
    const there = D.products.filter((p) => p.day === day)
    view.product = (there.find((p) => p.version === now.version) || there[there.length - 1] || now).id
  }
  await change()
}
const step = (by) => go(days[clamp(days.indexOf(products.get(state.views[0].product).day) + by, 0, days.length - 1)])

/** Dates of the film. */
function period() {
  const [since, until] = state.film.split(",")
  const found = days.filter((day) => (!since || day >= since) && (!until || day <= until))
  return found.length ? found : days
}

async function play() {
  if (film) { film = null; $("play").textContent = "▶ Film"; return }
  const mine = film = {}
  $("play").textContent = "■ Stop"
  while (film === mine) {
    const shown = period(), at = shown.indexOf(products.get(state.views[0].product).day)
    await go(shown[(at + 1) % shown.length])
    await Promise.all([complete(), new Promise((done) => setTimeout(done, 700))])
  }
}

// ---------------------------------------------------------------- gestures and keys

const onGround = (event, canvas) => { // pixel of 10 m under the pointer
  const box = canvas.getBoundingClientRect(), [ox, oy] = corner()
  return [(ox + (event.clientX - box.left) * ratio) / scale(), (oy + (event.clientY - box.top) * ratio) / scale()]
}

function zoom(by, at = [state.cx, state.cy]) {
  const before = scale()
  state.z = clamp(state.z + by, 0, DEEPEST)
  const k = before / scale()
  state.cx = at[0] + (state.cx - at[0]) * k
  state.cy = at[1] + (state.cy - at[1]) * k
  remember()
  paint()
}

function gestures(canvas) {
  let from = null, moved = false, turned = 0, apart = 0
  const fingers = new Map()
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) }
  canvas.onwheel = (event) => {
    event.preventDefault()
    turned += clamp(event.deltaY, -120, 120)
    if (Math.abs(turned) < 60) return
    zoom(turned < 0 ? 1 : -1, onGround(event, canvas))
    turned = 0
  }
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, event)
    if (fingers.size === 2) { apart = spread(); from = null; return }
    const x = ((event.clientX - canvas.getBoundingClientRect().left) * ratio)
    from = { x: event.clientX, y: event.clientY, cx: state.cx, cy: state.cy, edge: state.mode === "swipe" && Math.abs(x - swipe * size.width) < (event.pointerType === "touch" ? 28 : 12) * ratio }
    moved = false
  }
  canvas.onpointermove = (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event)
    if (fingers.size > 1) { // two fingers: twice as far apart, twice as large
      const [a, b] = [...fingers.values()], by = Math.round(Math.log2(spread() / apart))
      if (by) zoom(by, onGround({ clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 }, canvas))
      apart *= 2 ** by
      return
    }
    const box = canvas.getBoundingClientRect(), at = [event.clientX - box.left, event.clientY - box.top]
    for (const other of canvases) other.box.querySelector(".cross").style.transform = `translate(${at[0]}px, ${at[1]}px)`
    if (from) {
      moved ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > 3
      if (from.edge) swipe = clamp(at[0] / box.width, 0, 1)
      else if (moved) {
        state.cx = from.cx - ((event.clientX - from.x) * ratio) / scale()
        state.cy = from.cy - ((event.clientY - from.y) * ratio) / scale()
        remember()
      }
      paint()
    } else {
      hover = onGround(event, canvas).map(Math.floor)
      coordinates()
      inspect()
    }
  }
  canvas.onpointercancel = (event) => { fingers.delete(event.pointerId); from = null }
  canvas.onpointerup = (event) => {
    fingers.delete(event.pointerId)
    const click = from && !moved && !from.edge
    from = null
    if (!click) return
    const at = onGround(event, canvas)
    if (drawing && !drawing.closed) { drawing.points.push(at); paint(); return }
    pin = at.map(Math.floor)
    pinned()
  }
  canvas.ondblclick = () => { if (drawing && !drawing.closed) close() }
  canvas.onpointerleave = () => { hover = null; inspect() }
}

const KEYS = {
  ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, -1), ArrowDown: () => pan(0, 1),
  "+": () => zoom(1), "=": () => zoom(1), "-": () => zoom(-1), 0: () => { whole(); remember(); paint() },
  "[": () => step(-1), "]": () => step(1), " ": play, m: () => { masked = !masked; paint() },
  o: () => { const all = ["fill", "outline", "hatch"]; state.pattern = all[(all.indexOf(state.pattern) + 1) % 3]; controls(); remember(); paint() },
  d: () => mode("side"), s: () => mode("swipe"), b: () => state.mode === "blink" ? blink() : mode("blink"),
  p: () => draft(), Enter: () => { if (drawing && !drawing.closed) close() }, Escape: () => { drawing = null; $("area").replaceChildren(); paint() },
  "?": () => $("keys").showModal(),
}
function pan(x, y) {
  state.cx += (x * size.width) / 4 / scale()
  state.cy += (y * size.height) / 4 / scale()
  remember()
  paint()
}
function mode(name) { state.mode = name; shown = 0; controls(); remember(); layout() }
function blink() { shown = (shown + 1) % state.views.length; paint() }
document.addEventListener("keydown", (event) => {
  const { tagName, type } = event.target // a box that was ticked, or a slider, keeps the focus and needs no letters
  if (event.ctrlKey || event.metaKey || event.altKey || tagName === "SELECT" || tagName === "TEXTAREA") return
  if (tagName === "INPUT" && !(type === "checkbox" && event.key !== " ") && !(type === "range" && /^[a-z?]$/.test(event.key))) return
  if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key]() }
})
setInterval(() => { if (state.mode === "blink" && $("auto").checked) blink() }, 800)

// ---------------------------------------------------------------- inspector

const metresOf = ([col, row]) => [D.west + col * 10 + 5, D.north - row * 10 - 5]
const inside = ([col, row]) => col >= 0 && row >= 0 && col < D.cols && row < D.rows

function coordinates() {
  if (!hover) return
  const [x, y] = metresOf(hover)
  $("where").textContent = `E ${x} N ${y} m (${D.crs}) · column ${hover[0]}, row ${hover[1]}`
}

let asking = false, again = false
async function inspect() {
  const at = hover || pin
  if (!at || !inside(at)) return
  if (asking) { again = true; return }
  asking = true
  try {
    const [x, y] = metresOf(at)
    const names = [...new Set(state.views.map((view) => view.product))]
    const answer = await fetch(`/api/compare/pixel?products=${names.join(",")}&x=${x}&y=${y}`)
    const found = await answer.json()
    if (answer.ok) spectrum(at, found)
    else $("pixel").textContent = found.detail
  } finally {
    asking = false
    if (again) { again = false; inspect() }
  }
}

/** A chart of lines as SVG: each series {colour, points: [[x, y, hollow]]}. */
function chart(series, { x, y, ticks, label }) {
  const w = 300, h = 150, l = 34, b = 20
  const px = (v) => l + ((v - x[0]) / (x[1] - x[0] || 1)) * (w - l - 8), py = (v) => h - b - ((v - y[0]) / (y[1] - y[0] || 1)) * (h - b - 8)
  const lines = series.map(({ colour, points }) => {
    const path = points.filter((p) => !p[2]).map((p) => `${px(p[0]).toFixed(1)},${py(p[1]).toFixed(1)}`).join(" ")
    const dots = points.map((p) => p[2]
      ? `<path d="M${px(p[0]) - 3} ${py(p[1]) - 3}l6 6m0 -6l-6 6" stroke="#9AA5B1" stroke-width="1.5"><title>${p[3] || ""}</title></path>`
      : `<circle cx="${px(p[0])}" cy="${py(p[1])}" r="2.6" fill="${colour}"><title>${p[3] || ""}</title></circle>`).join("")
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots}`
  }).join("")
  const rows = [0, 0.5, 1].map((k) => y[0] + k * (y[1] - y[0]))
    .map((v) => `<line x1="${l}" x2="${w - 8}" y1="${py(v)}" y2="${py(v)}"/><text x="${l - 4}" y="${py(v) + 3}" text-anchor="end">${+v.toFixed(2)}</text>`).join("")
  const anchor = (i) => (i === 0 ? "start" : i === ticks.length - 1 ? "end" : "middle")
  const columns = ticks.map(([v, t], i) => `<text x="${px(v)}" y="${h - 6}" text-anchor="${anchor(i)}">${t}</text>`).join("")
  return `<svg class="chart" viewBox="0 0 ${w} ${h}" role="img" aria-label="${label}">${rows}${columns}${lines}</svg>`
}

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
const round = (value, digits) => value === null || value === undefined ? "–" : value.toFixed(digits)

function spectrum(at, found) {
  const shownProducts = state.views.map((view, i) => ({ i, product: products.get(view.product), values: found.products[view.product] }))
    .filter((one, k, all) => one.values && all.findIndex((o) => o.product.id === one.product.id) === k)
  const series = shownProducts.map(({ i, values }) => ({
    colour: COLOURS[i],
    points: Object.entries(values.SRE).filter(([, v]) => v !== null).map(([band, v]) => [D.bands[band], v, false, `${band} ${v.toFixed(4)}`]),
  }))
  const top = Math.max(0.1, ...series.flatMap((s) => s.points.map((p) => p[1])))
  const low = Math.min(0, ...series.flatMap((s) => s.points.map((p) => p[1])))
  const names = Object.keys(D.bands)
  const has = (kind) => shownProducts.some(({ values }) => Object.keys(values[kind]).length)
  const head = shownProducts.map(({ i, product }) => `<th><i style="background:${COLOURS[i]}"></i>${product.day.slice(5)} ${product.version}</th>`).join("")
  const row = (label, cell) => `<tr><td>${label}</td>${shownProducts.map(({ values }) => `<td>${cell(values)}</td>`).join("")}</tr>`
  const rows = ["SRE", "FRE"].filter(has).map((kind) => names.filter((band) => shownProducts.some(({ values }) => band in values[kind]))
    .map((band) => row(`${kind} ${band}`, (v) => round(v[kind][band], 4))).join("")).join("")
  const made = Object.keys(D.masks).filter((kind) => shownProducts.some(({ values }) => kind in values.masks))
  const set = made.filter((kind) => shownProducts.some(({ values }) => values.masks[kind]?.words.length))
  const unset = made.filter((kind) => !set.includes(kind))
  const masks = set.map((kind) => row(kind, (v) => v.masks[kind] ? (v.masks[kind].words.map(escape).join(", ") || "–") : "not made")).join("") +
    (unset.length ? `<tr><td colspan="${shownProducts.length + 1}">not set: ${unset.join(", ")}</td></tr>` : "")
  const titles = [...new Set(shownProducts.flatMap(({ values }) => Object.keys(values.kept)))]
  const kept = titles.map((title) => row(`kept mask: ${escape(title)}`, (v) => v.kept[title] ?? "–")).join("")
  const aged = shownProducts.some(({ values }) => values.age !== null)
  const age = aged ? row("age of the composite", (v) => v.age === null ? "–" : `${v.age} days`) : ""
  $("pixel").innerHTML = `<p class="soft">${at === pin ? "Chosen pixel" : "Under the cursor"}: column ${at[0]}, row ${at[1]}; ${found.longitude.toFixed(5)}°, ${found.latitude.toFixed(5)}°</p>` +
    chart(series, { x: [440, 2250], y: [low, top], ticks: [[490, "490"], [865, "865"], [1610, "1610"], [2190, "2190 nm"]], label: "Spectrum" }) +
    `<table><thead><tr><th></th>${head}</tr></thead><tbody>${row("AOT 550 nm", (v) => round(v.aot, 3))}${row("water vapour g cm⁻²", (v) => round(v.water_vapour, 2))}${age}${masks}${kept}</tbody></table>` +
    `<details${listed ? " open" : ""}><summary>Reflectances</summary><table><thead><tr><th></th>${head}</tr></thead><tbody>${rows}</tbody></table></details>`
  const list = $("pixel").querySelector("details")
  list.ontoggle = () => { listed = list.open }
}
let listed = false // whether the reflectances are shown as numbers too

async function pinned() {
  $("outside").hidden = inside(pin)
  if (!inside(pin)) return
  const mine = pin
  inspect()
  const [x, y] = metresOf(pin)
  const first = products.get(state.views[0].product)
  $("series").innerHTML = '<p class="soft">Reading all dates …</p>'
  explained(x, y)
  const answer = await fetch(`/api/compare/series/${D.tile}?x=${x}&y=${y}&version=${first.version}`)
  const rows = await answer.json()
  if (mine !== pin) return
  if (!answer.ok) { $("series").textContent = rows.detail; return }
  const link = `/api/compare/series/${D.tile}?x=${x}&y=${y}&version=${first.version}&format=csv`
  $("series").innerHTML = `<h2>All dates of ${escape(first.version)}</h2>` + overTime(rows, [["NDVI", "ndvi", "#00A087"], ["B4", "B4", "#D55E00"], ["B8", "B8", "#8B1A1A"]]) +
    `<p class="soft">● clear <b class="x">×</b> cloud, shadow or nothing observed · <a href="${link}">CSV</a></p>`
}

function overTime(rows, columns) {
  const time = (row) => Date.parse(row.date)
  const usable = (row, key) => row[key] !== null && row[key] !== undefined
  const series = columns.map(([title, key, colour]) => ({ colour, points: rows.filter((r) => usable(r, key)).map((r) => [time(r), r[key], !r.clear, `${title} ${r.date.slice(0, 10)}: ${r[key].toFixed(3)} ${(r.words || []).join(", ")}`]) }))
  const all = series.flatMap((s) => s.points.map((p) => p[1]))
  const x = [time(rows[0]), time(rows[rows.length - 1])]
  return chart(series, { x: x[0] === x[1] ? [x[0] - 4e8, x[1] + 4e8] : x, y: [Math.min(0, ...all), Math.max(0.2, ...all)], ticks: [[x[0], rows[0].date.slice(0, 10)], [x[1], rows.length > 1 ? rows[rows.length - 1].date.slice(0, 10) : ""]], label: "Time series" }) +
    `<p class="soft">${columns.map(([title, , colour]) => `<i class="key" style="background:${colour}"></i>${title}`).join(" ")}</p>`
}

/** Every test of the chain at the chosen pixel, with value and threshold. */
async function explained(x, y) {
  $("explain").innerHTML = '<p class="soft">Making the tests again …</p>'
  const mine = pin, product = products.get(state.views[0].product)
  const answer = await fetch(`/api/compare/explain/${product.id}?x=${x}&y=${y}`)
  const found = await answer.json()
  if (mine !== pin) return
  if (!answer.ok) { $("explain").innerHTML = `<p class="soft">Not explained: ${escape(found.detail)}</p>`; return }
  const number = (v) => v === null ? "?" : typeof v === "boolean" ? (v ? "yes" : "no") : +v.toFixed(4)
  let step = ""
  const rows = found.tests.map((test) => {
    const head = test.step === step ? "" : `<tr class="step"><td colspan="3">${escape(test.step.replaceAll("_", " "))}</td></tr>`
    step = test.step
    const verdict = !test.applied ? "–" : !test.comparison ? "" : test.passed ? "yes" : "no"
    const limit = test.comparison ? `${escape(test.comparison)} ${number(test.threshold)}` : ""
    return `${head}<tr class="${test.applied ? verdict : "idle"}"><td>${escape(test.test)}${test.note ? ` <span class="soft">${escape(test.note)}</span>` : ""}</td>` +
      `<td>${number(test.value)} ${limit} ${escape(test.unit)}</td><td>${verdict}</td></tr>`
  }).join("")
  const remarks = [...found.differences, ...found.missing].map((text) => `<p class="refused">${escape(text)}</p>`).join("")
  $("explain").innerHTML = `<h2>Why <small>${escape(product.day)} ${escape(product.version)}, column ${found.col}, row ${found.row}</small></h2>` +
    `<p>${escape(found.summary)}</p>${remarks}<details open><summary>Tests, value and threshold</summary><table class="tests"><tbody>${rows}</tbody></table></details>`
}

// ---------------------------------------------------------------- areas

function draft() {
  drawing = { points: [], closed: false }
  $("area").innerHTML = '<p class="soft">Click the corners in a view; Enter or a double click closes the area, Escape gives it up.</p>'
  paint()
}

async function close() {
  const corners = drawing.points.filter((p, i, all) => !i || Math.hypot(p[0] - all[i - 1][0], p[1] - all[i - 1][1]) > 1e-6)
  drawing.points = corners
  drawing.closed = true
  paint()
  const ground = corners.map(([col, row]) => `${(D.west + col * 10).toFixed(1)} ${(D.north - row * 10).toFixed(1)}`).join(",")
  const address = `/api/compare/statistics/${D.tile}?version=${products.get(state.views[0].product).version}&polygon=${encodeURIComponent(ground)}`
  $("area").innerHTML = '<p class="soft">Counting …</p>'
  const answer = await fetch(address), found = await answer.json()
  if (!answer.ok) { $("area").innerHTML = `<p class="refused">${escape(found.detail)}</p>`; return }
  const rows = found.rows.map((row) => ({ ...row, clear: row.clear_pixels > 0, ndvi: row.ndvi_mean, B4: row.B4_mean, B8: row.B8_mean }))
  $("area").innerHTML = `<h2>Area of ${found.pixels} pixels <small>mean of the clear ones</small></h2>` + (found.repaired ? `<p class="refused">${escape(found.repaired)}</p>` : "") +
    overTime(rows, [["NDVI", "ndvi", "#00A087"], ["B4", "B4", "#D55E00"], ["B8", "B8", "#8B1A1A"]]) + `<p><a href="${address}&format=csv" download>Statistics as CSV</a></p>`
}

// ---------------------------------------------------------------- start

$("tile").onchange = () => { location.href = `/compare?tile=${$("tile").value}` }
document.querySelectorAll("[data-mode]").forEach((button) => { button.onclick = () => mode(button.dataset.mode) })
$("add").onclick = () => { state.views.push({ ...state.views[state.views.length - 1] }); change() }
$("versions").onclick = () => {
  const now = products.get(state.views[0].product)
  const same = D.products.filter((p) => p.time === now.time && p.platform === now.platform)
  if (same.length < 2) { $("said").textContent = `${now.day} is there in ${now.version} only`; return }
  const [a, b] = same.slice(-2)
  state.views = [{ ...state.views[0], product: a.id }, { ...state.views[0], product: b.id },
    { ...state.views[0], product: b.id, layer: "difference", mask: "agreement-CLM", bits: 1 }]
  state.mode = "side"
  change()
}
$("opacity").oninput = () => { state.opacity = Number($("opacity").value); remember(); paint() }
$("pattern").onchange = () => { state.pattern = $("pattern").value; remember(); paint() }
for (const id of ["low", "high"]) $(id).onchange = () => {
  const [low, high] = [Number($("low").value || 0), Number($("high").value)]
  state.range = high > low ? `${low},${high}` : ""
  change()
}
$("fit").onclick = async () => {
  const [ox, oy] = corner(), view = state.views[0]
  const bands = view.layer === "band" ? state.band : view.layer === "rgb" ? state.bands : "SRE_B4,SRE_B3,SRE_B2"
  const box = [ox / scale(), oy / scale(), (ox + size.width) / scale(), (oy + size.height) / scale()].map(Math.round)
  const answer = await fetch(`/api/compare/range/${view.product}?bands=${bands}&window=${box.join(",")}`)
  const found = await answer.json()
  if (answer.ok) { state.range = `${found.low},${found.high}`; change() } else $("said").textContent = found.detail
}
$("own").onclick = () => { state.range = ""; change() }
$("width").onchange = () => { state.width = Math.max(0.001, Number($("width").value)); change() }
$("three").querySelectorAll("select").forEach((select) => { select.onchange = () => { state.bands = [...$("three").querySelectorAll("select")].map((s) => s.value).join(","); change() } })
$("one").querySelector("select").onchange = (event) => { state.band = event.target.value; change() }
$("play").onclick = play
for (const id of ["since", "until"]) {
  options($(id), days.map((day) => [day, day]), "")
  $(id).onchange = () => {
    const ends = [$("since").value, $("until").value].sort()
    state.film = ends[0] === days[0] && ends[1] === days[days.length - 1] ? "" : ends.join(",")
    controls()
    remember()
  }
}
$("in").onclick = () => zoom(1)
$("out").onclick = () => zoom(-1)
$("all").onclick = () => KEYS[0]()
$("before").onclick = () => step(-1)
$("after").onclick = () => step(1)
$("polygon").onclick = draft
$("help").onclick = () => $("keys").showModal()
$("day").max = days.length - 1
$("day").oninput = () => go(days[Number($("day").value)])
$("strip").append(...days.map((day) => {
  const clouds = D.products.filter((p) => p.day === day && p.cloud !== null).map((p) => p.cloud)
  const cloud = clouds.length ? Math.min(...clouds) : 0
  const bar = make("button", { title: `${day}: ${Math.round(cloud)} % cloud`, onclick: () => go(day) })
  bar.dataset.day = day
  bar.style.setProperty("--cloud", `${cloud}%`)
  return bar
}))
addEventListener("resize", layout)

window.compare = {
  state, complete: 0,
  /** West, north, east, south of every view. [m] */
  extents: () => canvases.map(({ canvas }) => {
    const [ox, oy] = corner(), metres = 10 / scale()
    return [D.west + ox * metres, D.north - oy * metres, D.west + (ox + canvas.width) * metres, D.north - (oy + canvas.height) * metres]
  }),
}
await heads()
controls()
layout()
place()
paint()
