"use strict";
// The report reads the same without this script: it adds sorting, a filter, and fewer tab stops.
(function () {
  const told = document.getElementById("told");
  const words = new Intl.Collator("en", { numeric: true });
  const NUMBER = /^-?\d+(\.\d+)?(?=$|%|\s*\()/;

  function read(row, column) {
    return row.cells[column].textContent.trim();
  }

  function weigh(text) {
    const found = NUMBER.exec(text.replace(/\u2212/g, "-").replace(/,/g, ""));
    return found ? Number(found[0]) : null;
  }

  // What is not defined stays last in both directions.
  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => ({ row, text: read(row, column) }));
    const known = rows.filter((one) => one.text !== "\u2013");
    const absent = rows.filter((one) => one.text === "\u2013");
    known.forEach((one) => { one.number = weigh(one.text); });
    const numeric = known.every((one) => one.number !== null);
    known.sort((a, b) => (numeric ? a.number - b.number : words.compare(a.text, b.text)));
    if (descending) known.reverse();
    known.concat(absent).forEach((one) => body.append(one.row));
  }

  function addButton(table, head, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      const direction = descending ? "descending" : "ascending";
      sort(table, column, descending);
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      told.textContent = "Sorted by " + button.textContent + ", " + direction + ".";
    });
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => addButton(table, head, column));
  }

  const filter = document.querySelector(".filter");
  if (filter) {
    const cards = Array.from(document.querySelectorAll(".gallery .card"));
    const selects = Array.from(filter.querySelectorAll("select"));
    const count = document.getElementById("gallery-count");
    const apply = () => {
      const fits = (card) => selects.every(
        (one) => one.value === "" || card.dataset[one.dataset.filter] === one.value);
      cards.forEach((card) => { card.hidden = !fits(card); });
      const shown = cards.filter((card) => !card.hidden).length;
      count.textContent = shown + " of " + cards.length + " frames shown.";
    };
    selects.forEach((one) => one.addEventListener("change", apply));
    filter.hidden = false;
    apply(); // a browser may have kept the choice over a reload
  }

  // Only what scrolls needs a stop of the Tab key.
  const boxes = document.querySelectorAll(".scroll, figure.wide");
  const mark = () => boxes.forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  mark();
  window.addEventListener("resize", mark);
  const folds = document.querySelectorAll("details");
  folds.forEach((fold) => fold.addEventListener("toggle", mark));

  // A link into a fold opens it; paper shows what is in all of them.
  const unfold = () => {
    const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = aim && aim.closest("details");
    if (fold) fold.open = true;
  };
  unfold();
  window.addEventListener("hashchange", unfold);
  const shut = [];
  window.addEventListener("beforeprint", () => folds.forEach((fold) => {
    if (!fold.open) shut.push(fold);
    fold.open = true;
  }));
  window.addEventListener("afterprint", () => shut.splice(0).forEach((fold) => { fold.open = false; }));
})();
