"use strict";
document.documentElement.classList.add("script");

// Sorting: a button in every heading; undefined values stay at the end.
function sortTable(table, column, heading) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => {
    const cell = row.cells[column];
    const number = cell.dataset.v;
    const key = number === undefined ? cell.textContent.trim() : number === "" ? null : Number(number);
    return { row, key };
  });
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    const order = typeof a.key === "number" ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true });
    return up ? order : -order;
  });
  for (const { row } of keyed) body.append(row);
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if ("still" in heading.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortTable(table, column, heading));
    heading.append(button);
  });
}

// Filter: a row stays where its name and its model's hold every word.
const filter = document.getElementById("filter");
if (filter) {
  const count = document.getElementById("filter-count");
  const models = [...document.querySelectorAll("article.model")];
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const model of models) {
      let here = 0;
      for (const table of model.querySelectorAll("table")) {
        let visible = 0;
        for (const row of table.tBodies[0].rows) {
          const text = `${model.dataset.model} ${row.cells[0].textContent}`.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
          visible += !row.hidden;
        }
        table.closest(".scroll").hidden = visible === 0;
        here = Math.max(here, visible);
      }
      model.hidden = here === 0;
      shown += here;
    }
    count.textContent = words.length ? `${shown} number${shown === 1 ? "" : "s"}` : "";
  });
}

// Pictures: a button around each opens it in its own size.
const viewer = document.getElementById("viewer");
const frame = document.getElementById("viewer-picture");
for (const zoom of document.querySelectorAll(".zoom")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "look";
  button.setAttribute("aria-haspopup", "dialog");
  button.append(...zoom.childNodes);
  zoom.append(button);
  button.addEventListener("click", () => {
    document.getElementById("viewer-title").textContent = zoom.dataset.title;
    const copies = [...button.childNodes].map((node) => node.cloneNode(true));
    if (zoom.classList.contains("film")) {
      const film = document.createElement("div");
      film.className = "film";
      film.append(...copies);
      frame.replaceChildren(film);
    } else {
      frame.replaceChildren(...copies);
    }
    viewer.showModal();
    frame.scrollTo(0, 0);
  });
}
document.getElementById("viewer-close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => frame.replaceChildren());
