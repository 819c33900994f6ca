"use strict";

// Snakemake's own report has each page in a folder of its own, or as a data URI, and none beside it.
if (location.protocol === "data:" || /\/data\/raw\/[^/]+\/[^/]+$/.test(location.pathname)) {
  document.querySelector('nav[aria-label="Pages"]')?.remove();
  for (const link of document.querySelectorAll('a:not([href^="#"], [href^="data:"], [href^="http"])'))
    link.replaceWith(...link.childNodes);
}

// Headings of <table data-sortable> sort: ascending, descending, then the table's own order again.
// Rows are sorted within groups, which begin at a <tbody class="heading">. A heading that spans
// columns, or has data-unsorted, does not sort.
{
  const collator = new Intl.Collator("en", { numeric: true });
  const following = { none: "ascending", ascending: "descending", descending: "none" };

  // Rows of cells by column; a cell stands at every place that it spans.
  function grid(rows) {
    const places = rows.map(() => []);
    rows.forEach((row, top) => {
      let left = 0;
      for (const cell of row.cells) {
        while (places[top][left]) left++;
        for (let r = top; r < Math.min(top + cell.rowSpan, rows.length); r++)
          for (let c = left; c < left + cell.colSpan; c++) places[r][c] = cell;
      }
    });
    return places;
  }

  // What a cell sorts by: its number, else its text; "" if it is empty.
  function keyOf(cell) {
    const number = cell?.querySelector("data");
    const text = cell?.textContent.trim() ?? "";
    return number ? Number(number.value) : text === "–" ? "" : text;
  }

  function compare(a, b, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");
    const numbers = typeof a === "number" && typeof b === "number";
    return sign * (numbers ? a - b : collator.compare(a, b));
  }

  // A row with copies of all its cells, those included that rows above share with it.
  function whole(row, cells) {
    const copy = row.cloneNode(false);
    for (const cell of new Set(cells)) {
      const own = copy.appendChild(cell.cloneNode(true));
      own.rowSpan = 1;
      if (own.scope === "rowgroup") own.scope = "row";
    }
    return copy;
  }

  // The bodies of a table in another order: those between headings joined and sorted.
  function sorted(bodies, column, sign) {
    const parts = [];
    let lines = null;
    for (const body of bodies) {
      if (body.classList.contains("heading")) {
        parts.push({ body, lines: [] });
        lines = null;
        continue;
      }
      if (!lines) parts.push({ body: body.cloneNode(false), lines: (lines = []) });
      const rows = [...body.rows];
      grid(rows).forEach((cells, place) =>
        lines.push({ row: whole(rows[place], cells), key: keyOf(cells[column]) }));
    }
    for (const part of parts) {
      part.lines.sort((a, b) => compare(a.key, b.key, sign));
      part.body.append(...part.lines.map((line) => line.row));
    }
    return parts.map((part) => part.body);
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const own = [...table.tBodies];
    const headings = grid([...table.tHead.rows]).at(-1);
    headings.forEach((heading, column) => {
      if (heading.colSpan > 1 || heading.hasAttribute("data-unsorted")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const order = following[heading.getAttribute("aria-sort") ?? "none"];
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        if (order !== "none") heading.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        for (const body of [...table.tBodies]) body.remove();
        table.tHead.after(...(order === "none" ? own : sorted(own, column, sign)));
      });
    });
  }
}

// A link to a number's provenance, such as table3.html#table3-1-val, opens it.
function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named?.popover && !named.matches(":popover-open")) named.showPopover();
}
addEventListener("hashchange", openNamed);
openNamed();
