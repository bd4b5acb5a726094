const block = JSON.parse(document.getElementById("facts").textContent);
const named = (names, row) => Object.fromEntries(names.map((name, place) => [name, row[place]]));
const records = block.records.map((row) => named(block.record, row));
const cells = block.cells.map((row) => named(block.cell, row));
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const spaced = (verdict) => verdict.replaceAll("_", " ");

/** An element with attributes and children; text becomes text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}
