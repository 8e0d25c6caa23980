"use strict";
// Sorts and filters the tables, and highlights the curves of a label in the picture.
// Without this script the page still shows everything.
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const number = new Intl.NumberFormat("en-US");
  const input = document.getElementById("filter");
  const found = document.getElementById("found");

  const tables = Array.from(document.querySelectorAll("table"), (table) => {
    const body = table.tBodies[0];
    const headings = Array.from(table.tHead.rows[0].cells);
    const nothing = document.createElement("p");
    nothing.className = "nothing";
    nothing.textContent = "Nothing here matches the filter.";
    nothing.hidden = true;
    table.after(nothing);
    const count = document.querySelector("#" + table.getAttribute("aria-labelledby") + " .count");
    return { table, body, headings, nothing, count, rows: Array.from(body.rows), texts: null };
  });

  // Sorting.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  const sort = ({ body, headings, rows }, column) => {
    const heading = headings[column];
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keyed = rows.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => (descending ? collator.compare(b, a) : collator.compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  };
  for (const table of tables) {
    table.headings.forEach((heading, column) => {
      heading.firstElementChild.addEventListener("click", () => sort(table, column));
    });
  }

  // Filtering: a row stays if it contains every word; of words joined by | one is enough.
  // A share also matches the accounts of its target, which are listed once, with the target.
  const text = (row) => {
    const also = row.dataset.also ? document.getElementById(row.dataset.also).textContent : "";
    return (row.textContent + " " + also).toLowerCase();
  };
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const choices = words.map((word) => word.split("|").filter(Boolean));
    let shown = 0;
    let all = 0;
    for (const table of tables) {
      table.texts ??= table.rows.map(text);
      let here = 0;
      table.rows.forEach((row, at) => {
        const has = choices.every((choice) => choice.some((word) => table.texts[at].includes(word)));
        if (row.hidden === has) row.hidden = !has;
        if (has) here += 1;
      });
      const total = number.format(table.rows.length);
      table.count.textContent = words.length ? number.format(here) + " of " + total : total;
      table.nothing.hidden = here > 0;
      shown += here;
      all += table.rows.length;
    }
    found.textContent = words.length ? number.format(shown) + " of " + number.format(all) + " rows" : "";
  };
  let waiting = 0;
  input.addEventListener("input", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(filter);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) {
      input.value = "";
      filter();
    }
  });
  input.closest("[role=search]").hidden = tables.length === 0;

  // The picture.
  for (const label of document.querySelectorAll(".labels button")) {
    const picture = label.closest(".picture");
    const end = label.dataset.from === undefined ? "to" : "from";
    const curves = picture.querySelectorAll(".curve[data-" + end + "='" + label.dataset[end] + "']");
    const highlight = (on) => {
      picture.classList.toggle("lit", on);
      for (const curve of curves) curve.classList.toggle("on", on);
    };
    for (const event of ["mouseenter", "focus"]) label.addEventListener(event, () => highlight(true));
    for (const event of ["mouseleave", "blur"]) label.addEventListener(event, () => highlight(false));
    label.addEventListener("click", () => {
      input.value = label.dataset.find;
      filter();
      input.closest("[role=search]").scrollIntoView();
      input.focus({ preventScroll: true });
    });
  }

  // On a narrow screen each row is a card, and each cell needs its heading beside it.
  const narrow = matchMedia("(max-width: 60rem)");
  let isLabelled = false;
  const labelCells = () => {
    if (isLabelled || !narrow.matches) return;
    isLabelled = true;
    for (const { headings, rows } of tables) {
      const names = headings.map((heading) => heading.textContent);
      for (const row of rows) Array.from(row.cells, (cell, at) => { cell.dataset.label = names[at]; });
    }
  };
  narrow.addEventListener("change", labelCells);
  labelCells();

  // A printed page cannot be unfolded.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
