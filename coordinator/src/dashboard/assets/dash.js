// The dashboard's only script: every page is whole without it.
// It adds live patches, tables that sort, plots that read out, and two keys. No framework, nothing from elsewhere.
"use strict";

const live = document.body.dataset.live;
const banner = document.getElementById("banner");

/** Puts new content into an element and keeps what a person opened, chose or focuses in it. */
function patch(element, markup) {
  const open = [...element.querySelectorAll("details")].map((one) => one.open);
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolls = [...element.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  const sorted = [...element.querySelectorAll("table[data-sortable]")].map((one) => {
    const heading = one.querySelector("[aria-sort]");
    return heading && { column: heading.cellIndex, down: heading.getAttribute("aria-sort") === "descending" };
  });
  element.innerHTML = markup;
  element.querySelectorAll("details").forEach((one, i) => { if (open[i]) one.open = true; });
  element.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = scrolls[i] || 0; });
  if (focused) document.getElementById(focused)?.focus();
  enrich(element);
  element.querySelectorAll("table[data-sortable]").forEach((one, i) => {
    const heading = sorted[i] && one.tHead?.rows[one.tHead.rows.length - 1]?.cells[sorted[i].column];
    if (!heading) return;
    heading.setAttribute("aria-sort", sorted[i].down ? "descending" : "ascending");
    sort(one, sorted[i].column, sorted[i].down);
  });
}

/** Whether a person is in the middle of something there that a patch would take away. */
function isBusy(element) {
  const active = document.activeElement;
  const typing = active && active !== document.body && element.contains(active) && !active.id;
  return Boolean(typing || element.querySelector("details.sure[open]"));
}

// Live patches: the server sends the elements that changed, by their id.
let own = false; // some element shows another choice than the stream's
function listen(address) {
  const source = new EventSource(address);
  source.addEventListener("open", () => { banner.hidden = true; });
  source.addEventListener("error", () => {
    banner.hidden = false;
    // A refusal is final for the browser: the session ended, or the coordinator is another one. Ask again, slowly.
    if (source.readyState === EventSource.CLOSED) {
      reread("#banner");
      setTimeout(() => listen(address), 3000);
    }
  });
  source.addEventListener("patch", (event) => {
    for (const [id, markup] of Object.entries(JSON.parse(event.data))) {
      const element = document.getElementById(id);
      if (!element) continue;
      if (id === "whole") { location.reload(); return; }
      if ("own" in element.dataset) own = true;
      else if (markup !== null && !isBusy(element)) patch(element, markup);
    }
  });
}

/** Reads this page again and puts those of its elements in place that `wanted` selects. */
async function reread(wanted) {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (answer.redirected) { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const element of document.querySelectorAll(wanted)) {
      const fresh = element.id && page.getElementById(element.id);
      if (fresh && fresh.innerHTML !== element.dataset.was && !isBusy(element)) {
        element.dataset.was = fresh.innerHTML;
        patch(element, fresh.innerHTML);
      }
    }
    if (!live) banner.hidden = true;
  } catch { banner.hidden = false; }
}

// Tables sort by a click on a heading; a second click turns the order round.
function sortable(table) {
  if (table.dataset.ready) return;
  table.dataset.ready = "1";
  const row = table.tHead && table.tHead.rows[table.tHead.rows.length - 1];
  if (!row) return;
  [...row.cells].forEach((heading, column) => {
    if ("still" in heading.dataset || !heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of row.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.dataset.column = String(column);
      sort(table, column, down);
    });
  });
}

function sort(table, column, down) {
  const value = (tr) => {
    const cell = tr.cells[column];
    if (!cell) return "";
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = parseFloat(text.replace("−", "-").replace("+", ""));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  for (const body of table.tBodies) {
    const rows = [...body.rows].map((tr) => [value(tr), tr]);
    rows.sort(([a], [b]) => {
      if (a === b) return 0;
      // What is not there comes last either way.
      if (a === "—" || a === "") return 1;
      if (b === "—" || b === "") return -1;
      const order = typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1;
      return down ? -order : order;
    });
    body.append(...rows.map(([, tr]) => tr));
  }
}

// Rows that hold what is typed.
function filter(input) {
  const table = document.getElementById(input.dataset.filter);
  if (!table) return;
  const wanted = input.value.trim().toLowerCase();
  for (const body of table.tBodies) {
    for (const tr of body.rows) tr.hidden = !tr.textContent.toLowerCase().includes(wanted);
  }
}

// Plots with series read out the values at the epoch under the pointer, or at the one chosen with the arrow keys.
function readout(svg) {
  if (svg.dataset.ready) return;
  svg.dataset.ready = "1";
  const plot = svg.querySelector("[data-left]");
  const out = document.createElement("p");
  out.className = "readout";
  out.setAttribute("role", "status");
  svg.after(out);
  svg.tabIndex = 0;
  const [left, right, first, last] = ["left", "right", "first", "last"].map((key) => Number(plot.dataset[key]));
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "line");
  mark.setAttribute("class", "cursor");
  mark.setAttribute("y1", plot.dataset.top);
  mark.setAttribute("y2", plot.dataset.bottom);
  mark.setAttribute("visibility", "hidden");
  plot.append(mark);
  let at = last;
  const show = (epoch) => {
    at = Math.min(last, Math.max(first, Math.round(epoch)));
    const x = last > first ? left + ((at - first) / (last - first)) * (right - left) : (left + right) / 2;
    mark.setAttribute("x1", x);
    mark.setAttribute("x2", x);
    mark.setAttribute("visibility", "visible");
    const parts = [...plot.querySelectorAll("[data-values]")].map((series) => {
      const value = series.dataset.values.split(" ")[at - Number(series.dataset.from)];
      return value === undefined || value === "" ? null : `${series.dataset.label}: ${value}`;
    });
    out.textContent = `epoch ${at} — ${parts.filter(Boolean).join(" · ") || "no value"}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    show(first + ((x - left) / (right - left)) * (last - first));
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(at + step);
  });
}

function enrich(root) {
  root.querySelectorAll("table[data-sortable]").forEach((table) => {
    const column = table.dataset.column;
    sortable(table);
    if (column) sort(table, Number(column), false);
  });
  root.querySelectorAll("input[data-filter]").forEach((input) => {
    input.hidden = false;
    input.addEventListener("input", () => filter(input));
  });
  root.querySelectorAll("svg:has([data-left])").forEach(readout);
}

enrich(document);

if (live) {
  listen(live);
  // Elements that show a choice of this page alone are read again when the stream says that they changed.
  setInterval(() => { if (own) { own = false; reread("[data-own]"); } }, 5000);
}
const refresh = Number(document.body.dataset.refresh);
if (refresh) setInterval(() => reread("[data-part]"), refresh * 1000);

// `/` goes to the search of the page.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || "")) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (target) { event.preventDefault(); target.focus(); }
});
