// The page reads fully without this: it adds switches between configurations and
// between starts, and what a picture's table says where the pointer is.
"use strict";
let follow = () => {}; // a link to a configuration
const enliven = () => {
  // switched shows one of several parts of the page at a time, the one that a bar
  // of buttons before them names. It returns what shows another.
  const switched = (bar, parts, first) => {
    const show = (part) => {
      for (const p of parts) p.classList.toggle("shown", p === part);
      [...bar.children].forEach((b, i) => b.setAttribute("aria-pressed", String(parts[i] === part)));
    };
    if (parts.length < 2) return show;
    for (const p of parts) {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = p.dataset.name;
      b.addEventListener("click", () => show(p));
      bar.append(b);
      p.classList.add("switched");
    }
    bar.hidden = false;
    show(first);
    return show;
  };

  const stories = [...document.querySelectorAll(".story")];
  const asked = () => stories.find((s) => "#" + s.id === location.hash);
  const show = switched(document.querySelector(".tabs"), stories, asked() || stories.find((s) => s.classList.contains("failed")) || stories[0]);
  follow = () => {
    const s = asked();
    if (s) {
      show(s);
      s.scrollIntoView();
    }
  };
  for (const s of stories) {
    const starts = [...s.querySelectorAll(".start")];
    if (starts.length > 0) switched(s.querySelector(".tabs"), starts, starts[0]);
  }

  const value = (cell) => parseFloat(cell.textContent.replace(/,/g, ""));

  for (const figure of document.querySelectorAll("figure[data-end]")) {
    const plot = figure.querySelector(".plot");
    const readout = figure.querySelector(".readout");
    const table = figure.querySelector("table");
    if (!readout || !table) continue;
    const heads = [...table.tHead.rows[0].cells].map((c) => c.textContent);
    const rows = [...table.tBodies[0].rows];
    const from = Number(figure.dataset.from), to = Number(figure.dataset.to), end = Number(figure.dataset.end);
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.hidden = true;
    plot.append(cursor);
    readout.hidden = false;
    readout.textContent = "Point at the picture for its numbers.";

    const read = (event) => {
      const box = plot.getBoundingClientRect();
      const at = (((event.clientX - box.left) / box.width - from) / (to - from)) * end;
      if (at < 0 || at > end || rows.length === 0) {
        cursor.hidden = true;
        return;
      }
      const row = rows.reduce((a, b) => (Math.abs(value(b.cells[0]) - at) < Math.abs(value(a.cells[0]) - at) ? b : a));
      cursor.hidden = false;
      cursor.style.left = 100 * (from + ((to - from) * value(row.cells[0])) / end) + "%";
      readout.replaceChildren(...heads.map((head, i) => {
        const item = document.createElement("span"), number = document.createElement("b");
        number.textContent = row.cells[i].textContent.trim();
        item.append(head + " ", number);
        return item;
      }));
    };
    plot.addEventListener("pointermove", read);
    plot.addEventListener("pointerdown", read);
    plot.addEventListener("pointerleave", () => { cursor.hidden = true; });
  }
};
enliven();
addEventListener("hashchange", () => follow());
