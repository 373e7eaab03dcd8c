// A click on a bar of Production opens the products of that day and version.

/**
 * @param {unknown} _args
 * @param {unknown} _tool
 * @param {{source: Bokeh.ColumnDataSource}} data
 */
export default function open(_args, _tool, { source }) {
  const bar = source.selected.indices[0]
  if (bar === undefined) return
  const published = source.data.when[bar].slice(0, 10)
  const version = source.data.what[bar]
  location.href = `products?${new URLSearchParams({ published, version })}`
}
