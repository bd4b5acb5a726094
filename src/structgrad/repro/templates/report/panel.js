const panel = document.getElementById("panel");
const body = document.getElementById("panel-body");

const row = (name, ...value) => value.some((part) => part !== null && part !== "")
  ? [make("dt", {}, name), make("dd", {}, ...value)] : [];

function numbers(cell) {
  const unit = cell.unit ? ` ${cell.unit}` : "";
  const interval = cell.low ? ` [${cell.low}, ${cell.high}]` : "";
  const kinds = { answer: "the answer to the printed number", further: "a further reading, never counted", ours: "ours alone" };
  return make("dl", {},
    ...row("verdict", make("span", { class: cell.verdict }, `${block.marks[cell.verdict]} ${spaced(cell.verdict)}`),
      cell.strong ? ", in the strong form: the whole difference lies within the margin" : ""),
    ...row("ours", cell.value === null ? "" : `${cell.value}${unit}${interval}`),
    ...row("n", cell.n ? `${cell.n} ${cell.over}${cell.spread ? `, spread ${cell.spread}` : ""}` : ""),
    ...row("printed", cell.printed ? `${cell.printed}${cell.printedSpread ? ` ± ${cell.printedSpread}` : ""}${unit}` : ""),
    ...row("what it is", kinds[cell.kind] || ""),
    ...row("how it is judged", sentence(block.texts[cell.reason])),
    ...row("the first rule said", spaced(cell.first || "")),
    ...row("notes", (cell.notes || []).map((note) => sentence(block.texts[note])).join(" ")));
}

const sentence = (text) => text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "";

function made(record) {
  return make("details", { class: "fold" },
    make("summary", {}, `Replicas ${record.replicas}, ${record.time}`),
    make("dl", {},
      ...row("record", make("a", { href: record.path }, record.path)),
      ...row("seeds", record.seeds),
      ...row("sources", `${record.sources} at commit ${record.commit}`),
      ...row("machine", record.machine),
      ...row("cost", record.time),
      ...row("finished", record.finished)));
}

function open(place) {
  const cell = cells[place];
  const own = (cell.records || []).map((record) => records[record]);
  const commands = [...own.map((record) => record.command), ...(cell.commands || [])];
  document.getElementById("panel-head").textContent = cell.title;
  body.replaceChildren(
    make("p", { class: "soft" }, `${cell.id}${cell.scale ? `, scale ${cell.scale}` : ""}`),
    ...(cell.replicas?.length ? [strip(cell)] : []),
    numbers(cell));
  if (own.length) body.append(make("h3", {}, "Records"), ...own.map(made));
  if (own.length === 1) body.querySelector("details").open = true;
  if (commands.length) {
    body.append(make("h3", {}, own.length ? "Make it again" : "Make it"),
      make("pre", { tabindex: "0" }, make("code", {}, commands.join("\n"))));
  }
  if (cell.deviations !== null) {
    body.append(make("p", {}, make("a", { href: block.deviations[cell.deviations] }, "Our readings of the protocol that concern it")));
  }
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  document.getElementById("panel-head").focus();
  address(`#cell=${encodeURIComponent(cell.id)}`);
}

/** Names the open number in the address, so that it can be sent; browsers that refuse lose nothing else. */
function address(hash) {
  try {
    history.replaceState(null, "", hash);
  } catch {
    // a page in a sandbox
  }
}

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("a[data-c], button[data-c]");
  if (!chosen || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(Number(chosen.dataset.c));
});
document.getElementById("close").addEventListener("click", () => panel.close());
panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });
panel.addEventListener("close", () => address(location.pathname));

function arrive() {
  if (!location.hash.startsWith("#cell=")) return;
  const place = cells.findIndex((cell) => cell.id === decodeURIComponent(location.hash.slice(6)));
  if (place >= 0) open(place);
}
addEventListener("hashchange", arrive);
