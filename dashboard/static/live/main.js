// Pages that follow the store: their parts are asked for again while the page is open, and by its links and forms.

import { $, plain } from "../shared/dom.js"
import { theme } from "../shared/theme.js"

/** Time between two looks. [ms] */
const LOOKS = 5000

/** The parts as they were sent, by name. @type {Map<string, string>} */
const sent = new Map()
/** What is asked for is shown; what was asked before is not any more. @type {AbortController | null} */
let asking = null
/** Whether whoever reads has to sign in again. */
let over = false
/** What is said above the page. */
let saying = ""

theme()
for (const part of parts(document)) sent.set(part.dataset.part ?? "", part.innerHTML)
setInterval(look, LOOKS)
document.addEventListener("click", follow)
document.addEventListener("submit", submitted)
document.addEventListener("change", (event) => {
  const field = /** @type {HTMLInputElement} */ (event.target)
  if (field.form?.method === "get") field.form.requestSubmit()
})
document.addEventListener("input", (event) => {
  const { dataset, value } = /** @type {HTMLInputElement} */ (event.target)
  if (!dataset.variable) return
  // What a style depends on is seen while it is moved.
  const styled = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`[style*="${dataset.variable}:"]`))
  for (const one of styled) one.style.setProperty(dataset.variable, value)
})
addEventListener("popstate", () => ask(location.href))

/** @param {Document} page @returns {Iterable<HTMLElement>} */
function parts(page) {
  return page.querySelectorAll("[data-part]")
}

/** Asks what is new. */
async function look() {
  if (document.hidden || asking) return
  const seen = document.querySelector("[data-snapshot]")?.getAttribute("data-snapshot") ?? ""
  await ask(location.href, over ? {} : { headers: { "x-seen": seen } }, true)
}

/**
 * Asks for a page and takes its parts over.
 * @param {string} address
 * @param {RequestInit} [options]
 * @param {boolean} [typing] Whether what is typed meanwhile stays.
 */
async function ask(address, options = {}, typing = false) {
  asking?.abort()
  const mine = new AbortController()
  asking = mine
  $("main").setAttribute("aria-busy", "true")
  try {
    const answer = await fetch(address, { redirect: "manual", ...options, signal: mine.signal })
    ended(answer.status === 401 || answer.type === "opaqueredirect")
    if (over) return
    const text = await answer.text()
    if (asking !== mine) return
    const found = [...parts(new DOMParser().parseFromString(text, "text/html"))]
    // Another set of parts is another page: of a centre where the first date has arrived.
    if (found.length > 1 && found.some((part) => !here(part))) return location.reload()
    for (const part of found) take(part, typing)
    told(found.length ? "" : (reason(text) ?? `The centre answers ${answer.status}.`))
  } catch {
    if (!mine.signal.aborted) told("The centre does not answer: what stands here is as it was.")
  } finally {
    if (asking === mine) {
      asking = null
      $("main").removeAttribute("aria-busy")
    }
  }
}

/** The part of the page that another one is the next state of. @param {HTMLElement} part */
const here = (part) =>
  /** @type {HTMLElement | null} */ (document.querySelector(`[data-part="${CSS.escape(part.dataset.part ?? "")}"]`))

/** What a program is told instead of a page. @param {string} text @returns {string | null} */
function reason(text) {
  try {
    return String(JSON.parse(text).detail)
  } catch {
    return null
  }
}

/** Says what can't be; nothing where all is well. @param {string} words */
function told(words) {
  say(words ? `<div class="note">${plain(words)}</div>` : "")
}

/** @param {string} html */
function say(html) {
  if (html !== saying) $("session").innerHTML = html // what has not changed is not read out again
  saying = html
}

/** Says that the session is over, or that it goes on: what is typed stays. @param {boolean} now */
function ended(now) {
  over = now
  if (now)
    say(`<div class="note" data-session="ended"><b>Your session has ended.</b> What you typed stays here, and nothing
more is kept until you <a href="/sign-in?next=${encodeURIComponent(location.pathname)}" target="_blank"
rel="opener">sign in again in a new tab</a>; then go on in this one.</div>`)
}

/**
 * Takes one part over where it differs.
 * @param {HTMLElement} part
 * @param {boolean} typing Whether what is typed stays.
 */
function take(part, typing) {
  const name = part.dataset.part ?? ""
  const old = here(part)
  if (!old || sent.get(name) === part.innerHTML) return
  sent.set(name, part.innerHTML)
  // What had the focus keeps it, what was open stays open, and what was scrolled stays where it was.
  const focused = old.contains(document.activeElement) ? mark(/** @type {Element} */ (document.activeElement)) : ""
  const opened = [...old.querySelectorAll("details")].map((one) => one.open)
  const scrolled = [...old.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop])
  const typed = typing ? fields(old).filter((one) => one.value !== one.defaultValue) : []
  old.innerHTML = part.innerHTML
  old.querySelectorAll("details").forEach((one, i) => {
    one.open = opened[i] ?? one.open
  })
  old.querySelectorAll(".scroll, pre").forEach((one, i) => {
    if (scrolled[i]) one.scrollTo(scrolled[i][0], scrolled[i][1])
  })
  for (const was of typed) {
    const now = fields(old).find((one) => one.name === was.name && one.form?.action === was.form?.action)
    if (now) now.value = was.value
  }
  if (focused) /** @type {HTMLElement | null} */ (old.querySelector(focused))?.focus()
}

/** Fields that somebody types in. @param {HTMLElement} part @returns {(HTMLInputElement | HTMLTextAreaElement)[]} */
function fields(part) {
  return [...part.querySelectorAll("input:not([type=hidden], [type=checkbox], [type=radio]), textarea")].map(
    (one) => /** @type {HTMLInputElement | HTMLTextAreaElement} */ (one),
  )
}

/** What an element is known by in the next version of its part. @param {Element} element */
function mark(element) {
  if (element.id) return `#${CSS.escape(element.id)}`
  for (const name of ["name", "href"]) {
    const value = element.getAttribute(name)
    if (value) return `[${name}="${CSS.escape(value)}"]`
  }
  return ""
}

/** A link to the page itself is followed within it. @param {MouseEvent} event */
function follow(event) {
  const link = /** @type {HTMLElement} */ (event.target).closest("main a[href]")
  if (!(link instanceof HTMLAnchorElement)) return
  if (link.dataset.ground) link.href = there(link, event)
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return
  if (link.origin !== location.origin || link.pathname !== location.pathname || link.hash || link.target) return
  event.preventDefault()
  go(link.href, link.dataset.shows)
}

/**
 * Where an image of the ground leads: to the place that was clicked, at 10 m a pixel; by key to all of it.
 * @param {HTMLAnchorElement} link
 * @param {MouseEvent} event
 */
function there(link, event) {
  const address = new URL(link.href)
  address.searchParams.delete("at")
  const [west, north, width, height] = (link.dataset.ground ?? "").split(",").map(Number)
  const box = link.getBoundingClientRect()
  const at = [
    west + (width * (event.clientX - box.left)) / box.width,
    north - (height * (event.clientY - box.top)) / box.height,
  ]
  if (event.detail) address.searchParams.set("at", [...at.map(Math.round), 5].join())
  return address.href
}

/** A form of the page is sent within it. @param {SubmitEvent} event */
function submitted(event) {
  const form = /** @type {HTMLFormElement} */ (event.target)
  if (!form.closest("main")) return
  event.preventDefault()
  const fields = new URLSearchParams()
  for (const [name, value] of new FormData(form, event.submitter)) {
    const field = form.elements.namedItem(name)
    const neutral = field instanceof HTMLElement ? field.dataset.neutral : undefined
    // What asks for nothing is left out of the address.
    if (form.method === "post" || (value && value !== neutral)) fields.append(name, String(value))
  }
  if (form.method === "post") ask(form.action, { method: "POST", body: fields })
  else go(`${location.pathname}${fields.size ? `?${fields}` : ""}`)
}

/**
 * @param {string} address
 * @param {string} [part] What comes into sight, where it lies beyond.
 */
async function go(address, part = "") {
  history.pushState(null, "", address)
  await ask(address)
  const shown = document.querySelector(`[data-part="${part}"]`)
  const box = shown?.getBoundingClientRect()
  if (box && (box.bottom < 0 || box.top > innerHeight)) shown?.scrollIntoView()
}
