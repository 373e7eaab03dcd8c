// Light or dark, as the reader chose it on any page, before anything is drawn; else as his system says.
;(() => {
  const chosen = document.cookie.match(/(?:^|; )muscate-theme=(light|dark)/)
  if (chosen) document.documentElement.dataset.theme = chosen[1]
})()
