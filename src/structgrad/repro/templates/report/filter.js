const form = document.getElementById("filter");
const texts = cells.map((cell) => `${cell.id} ${cell.title} ${spaced(cell.verdict)}`.toLowerCase());

function apply() {
  const data = new FormData(form);
  const verdicts = new Set(data.getAll("verdict"));
  const paper = data.get("paper");
  const words = data.get("text").toLowerCase().split(/\s+/).filter(Boolean);
  const shown = cells.map((cell, place) =>
    (!verdicts.size || verdicts.has(cell.verdict)) &&
    (!paper || cell.id.startsWith(`${paper}/`)) &&
    words.every((word) => texts[place].includes(word)));
  const active = verdicts.size > 0 || paper !== "" || words.length > 0;

  const squares = all(".sq");
  for (const square of squares) square.disabled = !shown[square.dataset.c];
  for (const group of all(".squares")) settle(group);
  for (const row of all("tbody tr")) {
    const own = row.dataset.c ? [row] : all("td[data-c]", row);
    if (!own.length) continue;
    for (const cell of own) cell.classList.toggle("dim", !shown[cell.dataset.c]);
    row.hidden = !own.some((cell) => shown[cell.dataset.c]);
  }
  for (const frame of all(".results .frame")) {
    const empty = !all("tbody tr", frame).some((row) => !row.hidden);
    frame.hidden = frame.previousElementSibling.hidden = empty;
  }
  for (const section of all(".results")) {
    const frames = all(".frame", section);
    section.hidden = active && (frames.length === 0 || frames.every((frame) => frame.hidden));
  }
  for (const standing of all(".standing")) standing.hidden = paper !== "" && standing.dataset.paper !== paper;
  const count = squares.filter((square) => !square.disabled).length;
  document.getElementById("matches").value = active ? `${count} of ${squares.length} printed numbers` : "";
}

form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(apply));
