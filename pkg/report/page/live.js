// What the page of a run that goes on does besides: it shows what happens now,
// from the events that sweep sends, and fetches the rest anew when a trial begins.
(() => {
  const live = document.getElementById("live");
  const part = (name) => live.querySelector("." + name);
  const svg = (name, attributes) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    return e;
  };

  let trial = null, overlay = null;

  // place returns where a panel has a value, on the picture.
  const place = (panel, value) => {
    const share = panel.log
      ? Math.log(Math.max(value, panel.low) / panel.low) / Math.log(panel.high / panel.low)
      : (value - panel.low) / (panel.high - panel.low);
    return panel.bottom + (panel.top - panel.bottom) * Math.min(1, Math.max(0, share));
  };

  const style = (line) => ({ fill: "none", stroke: line.colour, "stroke-width": line.width, "stroke-dasharray": line.dashes.join(" ") });

  const drawLine = (panel, line) => {
    const { left, right, end, at } = trial.scene;
    let d = "", last = null, pen = "M";
    line.values.forEach((value, i) => {
      if (value === null) {
        pen = "M";
        return;
      }
      d += pen + (left + ((right - left) * at[i]) / end).toFixed(1) + " " + place(panel, value).toFixed(1);
      pen = "L";
      last = value;
    });
    if (d) overlay.append(svg("path", { d, ...style(line) }));
    return last;
  };

  // label writes names beside the ends of their lines, apart from each other.
  const label = (panel, tags) => {
    const apart = 11.25, left = trial.scene.right + 8;
    tags.sort((a, b) => b.y - a.y);
    tags.forEach((tag, i) => { if (i > 0) tag.y = Math.min(tag.y, tags[i - 1].y - apart); });
    let highest = panel.top;
    for (const tag of [...tags].reverse()) {
      tag.y = Math.max(tag.y, highest);
      highest = tag.y + apart;
      overlay.append(svg("path", { d: `M${left} ${tag.y}h20`, ...style(tag.line) }));
      const text = svg("text", { x: left + 25, y: tag.y + 3, "font-size": 9 });
      text.textContent = tag.line.name;
      overlay.append(text);
    }
  };

  const draw = () => {
    overlay.replaceChildren();
    for (const panel of trial.scene.panels) {
      const tags = panel.bounds.map((b) => ({ y: place(panel, b.value), line: { name: b.name, colour: "#000000", width: 1, dashes: [7, 3] } }));
      for (const line of panel.lines) {
        const last = drawLine(panel, line);
        if (last !== null) tags.push({ y: place(panel, last), line });
      }
      label(panel, tags);
    }
  };

  const say = (name, text) => { part(name).textContent = text; };

  // refresh fetches the page anew and takes all but what happens now from it.
  let fetching = null, again = false, fetched = "";
  const shown = () => document.querySelector(".story.shown") || document.querySelector(".story");
  const buttons = () => [...document.querySelectorAll(".tabs button")]; // first those of the configurations, one a story
  const opened = () => [...document.querySelectorAll("main details")].map((e) => e.open);
  const refresh = () => {
    if (fetching) {
      again = true;
      return fetching;
    }
    fetching = (async () => {
      do {
        again = false;
        fetched = shown()?.id || "";
        const answer = await fetch("?view=" + encodeURIComponent(fetched));
        if (!answer.ok) continue;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const id = shown()?.id, focus = buttons().indexOf(document.activeElement), open = opened();
        document.title = page.title;
        for (const name of ["style", "header", "main", "footer"]) document.querySelector(name).replaceWith(page.querySelector(name));
        enliven();
        const stories = [...document.querySelectorAll(".story")];
        if (stories.length > 1) buttons()[stories.findIndex((s) => s.id === id)]?.click();
        buttons()[focus]?.focus();
        const now = document.querySelectorAll("main details");
        if (now.length === open.length) now.forEach((e, i) => { e.open = open[i]; });
      } while (again);
    })().catch(() => {}).finally(() => { fetching = null; }); // the next event tries again
    return fetching;
  };

  // A story gets its pictures when it is looked at.
  const look = () => {
    const story = shown();
    if (story && story.id !== fetched && !story.classList.contains("unmeasured")) refresh();
  };
  addEventListener("click", (e) => { if (e.target.closest(".tabs")) look(); });
  addEventListener("hashchange", look);

  const source = new EventSource("events");
  const on = (name, act) => source.addEventListener(name, (e) => act(JSON.parse(e.data)));

  on("trial", (told) => {
    const next = !trial || trial.number !== told.number;
    trial = told;
    say("which", `Trial ${told.number} of ${told.of}: ${told.name} ${told.load}`);
    if (next) {
      say("words", "");
      refresh();
    }
    const plot = part("plot");
    plot.closest("figure").hidden = !told.scene;
    if (!told.scene) return;
    plot.innerHTML = told.scene.svg;
    plot.style.width = told.scene.width / 0.75 + "px";
    overlay = svg("svg", { class: "overlay", viewBox: `0 0 ${told.scene.width} ${told.scene.height}`, "aria-hidden": "true" });
    plot.append(overlay);
    draw();
  });
  on("phase", (told) => say("phase", told.text));
  on("second", (told) => {
    say("phase", "");
    say("left", told.left);
    part("words").replaceChildren(...told.words.map((text) => {
      const word = document.createElement("span");
      word.textContent = text;
      return word;
    }));
    if (!trial?.scene || !told.second) return; // else the scene has it
    trial.scene.at.push(told.second.at);
    trial.scene.panels.forEach((panel, i) => panel.lines.forEach((line, j) => line.values.push(told.second.values[i][j])));
    draw();
  });
  on("log", (told) => {
    const line = document.createElement("li"), at = document.createElement("time");
    at.textContent = told.at;
    line.append(at, " " + told.text);
    part("log").prepend(line);
  });
  on("end", (told) => {
    live.classList.add("ended");
    for (const name of ["which", "words", "left"]) say(name, "");
    say("phase", told.text);
    part("plot").closest("figure").hidden = true;
    refresh().finally(() => source.close());
  });
  source.onopen = () => say("link", "");
  source.onerror = () => say("link", source.readyState === EventSource.CLOSED
    ? "sweep has ended, and this page shows what it knew."
    : "The connection to sweep is lost. The page goes on by itself when it is back.");
  look();
})();
