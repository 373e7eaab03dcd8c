// A metre is as long northwards as eastwards on the map of Coverage, whatever the room the page leaves.

/** @param {{figure: Bokeh.Figure}} args */
export default function keep({ figure }) {
  const { x_range, y_range, inner_width, inner_height } = figure
  if (!(inner_width > 0 && inner_height > 0)) return
  const scale = Math.max((x_range.end - x_range.start) / inner_width, (y_range.end - y_range.start) / inner_height)
  for (const { range, size } of [
    { range: x_range, size: inner_width },
    { range: y_range, size: inner_height },
  ]) {
    const middle = (range.start + range.end) / 2
    const half = (scale * size) / 2
    range.setv({ start: middle - half, end: middle + half })
  }
}
