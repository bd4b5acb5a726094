const WIDTH = 560, HEIGHT = 96, BASE = 66, BINS = 112;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The replicas on an axis, stacked where they fall together; our value with its interval, and the printed one. */
function strip(cell) {
  const pairs = cell.replicas.map((item) => Array.isArray(item) ? item : [item, 1]);
  const values = pairs.map((pair) => pair[0]);
  const ends = [cell.value, cell.low, cell.high, cell.printed].filter((text) => text).map(Number);
  const low = Math.min(...values, ...ends), high = Math.max(...values, ...ends);
  const pad = 0.06 * (high - low || 1);
  const x = (value) => 14 + (WIDTH - 28) * (value - low + pad) / (high - low + 2 * pad);
  const bins = new Map();
  for (const [value, times] of pairs) {
    const bin = Math.round(BINS * x(value) / WIDTH);
    bins.set(bin, (bins.get(bin) || 0) + times);
  }
  const most = Math.max(...bins.values());
  const step = Math.min(5, 48 / most);
  const marks = [...bins].map(([bin, times]) => svg("rect", {
    x: bin * WIDTH / BINS - 2, y: BASE - 6 - step * times, width: 4, height: step * times - (step > 2 ? 0.5 : 0), class: "replica",
  }));
  const label = (text, at, y, kind) => svg("text", {
    x: x(at), y, class: kind, "text-anchor": x(at) > WIDTH - 70 ? "end" : x(at) < 70 ? "start" : "middle",
  }, text);
  const drawn = [svg("line", { x1: 0, x2: WIDTH, y1: BASE, y2: BASE, class: "axis" }), ...marks];
  if (cell.low) drawn.push(svg("line", { x1: x(+cell.low), x2: x(+cell.high), y1: BASE, y2: BASE, class: "interval" }));
  drawn.push(svg("circle", { cx: x(+cell.value), cy: BASE, r: 4.5, class: "value" }), label(`ours ${cell.value}`, +cell.value, BASE + 26, "value"));
  if (cell.printed) {
    drawn.push(svg("line", { x1: x(+cell.printed), x2: x(+cell.printed), y1: 12, y2: BASE + 7, class: "printed" }),
      label(`printed ${cell.printed}`, +cell.printed, 9, "printed"));
  }
  const said = `${cell.n} ${cell.over} from ${values[0]} to ${values.at(-1)}, ours ${cell.value}` +
    (cell.printed ? `, printed ${cell.printed}` : "");
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "strip", role: "img", "aria-label": said }, ...drawn);
}
