const tip = document.getElementById("tip");

/** One square of a group takes the tabulator's focus; arrows move it. */
function settle(group, chosen = null) {
  const squares = all(".sq:not([disabled])", group);
  const one = chosen || squares.find((square) => square.tabIndex === 0) || squares[0];
  for (const square of all(".sq", group)) square.tabIndex = square === one ? 0 : -1;
}

/** The square above or below, the nearest across. */
function beyond(squares, from, down) {
  const rows = squares.filter((square) => down ? square.offsetTop > from.offsetTop : square.offsetTop < from.offsetTop);
  const distance = (square) =>
    1e4 * Math.abs(square.offsetTop - from.offsetTop) + Math.abs(square.offsetLeft - from.offsetLeft);
  return rows.sort((a, b) => distance(a) - distance(b))[0];
}

function move(event) {
  const square = event.target.closest(".sq");
  if (!square) return;
  const squares = all(".sq:not([disabled])", square.parentElement);
  const place = squares.indexOf(square);
  const next = {
    ArrowRight: () => squares[place + 1],
    ArrowLeft: () => squares[place - 1],
    ArrowDown: () => beyond(squares, square, true),
    ArrowUp: () => beyond(squares, square, false),
    Home: () => squares[0],
    End: () => squares.at(-1),
  }[event.key];
  if (!next) return;
  event.preventDefault();
  const other = next();
  if (other) {
    settle(square.parentElement, other);
    other.focus();
  }
}

function show(event) {
  const square = event.target.closest(".sq");
  tip.hidden = !square;
  if (!square) return;
  const cell = cells[square.dataset.c];
  tip.replaceChildren(
    make("b", {}, `${block.marks[cell.verdict]} ${spaced(cell.verdict)}${cell.strong ? ", within the margin" : ""}`),
    ` ${cell.title}`, make("br"),
    cell.value === null ? "" : `ours ${cell.value}${cell.low ? ` [${cell.low}, ${cell.high}]` : ""}, `,
    `printed ${cell.printed} ${cell.unit}`);
  const box = square.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${box.bottom + scrollY + 6}px`;
}

const glance = document.getElementById("glance");
glance.addEventListener("keydown", move);
for (const kind of ["mouseover", "focusin"]) glance.addEventListener(kind, show);
for (const kind of ["mouseleave", "focusout"]) glance.addEventListener(kind, () => { tip.hidden = true; });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
for (const group of all(".squares")) settle(group);
