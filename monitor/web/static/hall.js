/* The hall: one row for each stream. The server sends what has changed (hall_data.changes), this draws it. */
"use strict";

const hall = {
  rows: new Map(), // by key: what the server said
  parts: new Map(), // by key: the elements of a row
  order: [],
  mayWrite: false,
  grouped: false,
  words: "",

  begin() {
    const data = JSON.parse(document.getElementById("hall-data").textContent);
    hall.mayWrite = data.mayWrite;
    try { hall.grouped = localStorage.getItem("hall-grouped") === "1"; } catch { /* a browser that stores nothing */ }
    hall.filter = page.make("input", { class: "field", type: "search", placeholder: "Filter", "aria-label":
      "Filter by name, group or state", autocomplete: "off", spellcheck: "false", oninput: () => hall.arrange() });
    hall.groupButton = page.make("button", { class: "button", type: "button", onclick: () => hall.group() }, "Group");
    hall.counts = page.make("p", { class: "counts", role: "status" });
    hall.list = page.make("ul", { class: "streams", role: "list", "aria-label": "Streams, the worst first" });
    hall.nothing = page.make("p", { class: "nothing muted" });
    document.getElementById("hall").append(
      page.make("h1", { class: "hidden" }, "Hall"),
      page.make("div", { class: "tools" }, hall.counts, page.make("span", { class: "grow" }), hall.filter,
        page.make("kbd", { class: "hint", "aria-hidden": "true" }, "/"), hall.groupButton),
      hall.list, hall.nothing);
    hall.update(data);
    addEventListener("resize", () => hall.fit());
    const above = new ResizeObserver(() => hall.fit());
    for (const id of ["notices", "arrivals"]) above.observe(document.getElementById(id));
  },

  update({ rows = [], order = null }) {
    for (const row of rows) {
      const known = hall.rows.get(row.key) ?? {};
      const whole = { ...known, ...row };
      hall.rows.set(row.key, whole);
      if (!hall.parts.has(row.key)) hall.parts.set(row.key, hall.makeRow(whole));
      hall.draw(whole, row);
    }
    if (order) {
      hall.order = order;
      for (const key of [...hall.rows.keys()].filter((one) => !order.includes(one))) {
        hall.parts.get(key).item.remove();
        hall.rows.delete(key);
        hall.parts.delete(key);
      }
    }
    if (order || rows.some((row) => "state" in row || "group" in row || "new" in row)) hall.arrange();
  },

  makeRow(row) {
    const parts = {
      state: page.make("span", { class: "state", onclick: (event) => hall.openEvent(row.key, event) }), name: page.make("span", { class: "name" }),
      since: page.make("span", { class: "since" }), share: page.make("span", { class: "share" }),
      bar: page.make("i"), spark: hall.makeSpark(),
    };
    const meter = page.make("span", { class: "meter" }, parts.bar);
    const cells = [parts.state, parts.name, parts.since, parts.spark, meter, parts.share];
    parts.link = row.id === null ? page.make("span", { class: "row", tabindex: "0" }, ...cells)
      : page.make("a", { class: "row", href: `/stream/${row.id}` }, ...cells);
    parts.button = page.make("button", { class: "plain ack", type: "button", hidden: true,
      onclick: () => hall.acknowledge(row.key) }, page.make("span", { "aria-hidden": "true" }, "✓"),
      page.make("span", { class: "long" }, " Acknowledge"));
    parts.item = page.make("li", { "data-key": row.key }, parts.link, parts.button);
    return parts;
  },

  makeSpark() {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 120 18");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, d] of [["limit", "M0 6H120"], ["area", ""], ["trace", ""]]) {
      const path = document.createElementNS(space, "path");
      path.setAttribute("class", name);
      path.setAttribute("d", d);
      svg.append(path);
    }
    return svg;
  },

  /* The last hour: a point for each minute, the limit at a third from above; a minute without value is a gap. */
  drawSpark(svg, spark) {
    const y = (percent) => (17.5 - Math.min(percent, 145) * 0.115).toFixed(1);
    const pieces = [];
    spark.forEach((percent, i) => {
      if (percent < 0) return;
      if (i === 0 || spark[i - 1] < 0) pieces.push([]);
      pieces.at(-1).push(`${i * 2 + 1} ${y(percent)}`);
    });
    const lines = pieces.map((one) => `M${one.join("L")}${one.length === 1 ? "h1" : ""}`);
    svg.querySelector(".trace").setAttribute("d", lines.join(""));
    svg.querySelector(".area").setAttribute("d", pieces.map((one) =>
      `M${one[0].split(" ")[0]} 18L${one.join("L")}V18Z`).join(""));
  },

  draw(row, changed) {
    const parts = hall.parts.get(row.key);
    if ("state" in changed || "seen" in changed) {
      const look = row.state.toLowerCase().replaceAll(" ", "-");
      parts.state.className = `state ${look}${row.seen ? " seen" : ""}`;
      parts.state.textContent = row.state;
      parts.item.dataset.state = look;
    }
    if ("event" in changed) {
      if (row.event) parts.state.title = "Open the event (e)";
      else parts.state.removeAttribute("title");
    }
    if ("name" in changed || "muted" in changed || "host" in changed) {
      parts.name.replaceChildren(row.name || "stream");
      if (row.host) parts.name.append(page.make("small", {}, ` ${row.host}`));
      if (row.muted) parts.name.append(page.make("small", {}, ` muted until ${page.time(row.muted)}`));
      parts.name.title = parts.name.textContent;
    }
    if ("since" in changed) parts.since.textContent = row.since === null ? "" : page.time(row.since);
    if ("share" in changed) {
      parts.share.textContent = row.share === null ? "–" : `${row.share} %`;
      parts.bar.style.width = `${Math.min(row.share ?? 0, 150) / 1.5}%`;
      parts.item.classList.toggle("over", row.share >= 100);
    }
    if (("level" in changed || "heard" in changed) && row.heard) { // of another computer, which cannot be asked
      const level = row.level === null ? "" : `level ${row.level.toFixed(0)} dBFS, `;
      parts.link.title = `On ${row.host}: ${level}last seen ${page.time(row.heard)}`;
    }
    if ("spark" in changed) hall.drawSpark(parts.spark, row.spark);
    if ("new" in changed) {
      const hide = !(row.new && hall.mayWrite && row.id !== null);
      if (hide && document.activeElement === parts.button) parts.link.focus();
      parts.button.hidden = hide;
      parts.item.classList.toggle("new", row.new > 0);
      const label = `Acknowledge ${row.new} ${row.new === 1 ? "anomaly" : "anomalies"} of ${row.name}`;
      parts.button.setAttribute("aria-label", label);
      parts.button.title = label;
    }
    parts.link.setAttribute("aria-label", [row.name || "stream", row.state,
      row.share === null ? "" : `${row.share} % of the limit`, row.since === null ? "" : `since ${page.time(row.since)}`,
      row.seen ? "acknowledged" : row.new ? `${row.new} not acknowledged` : ""].filter(Boolean).join(", "));
  },

  /* A press on the state opens the event, one on the rest of the row the stream. */
  openEvent(key, press = null) {
    const row = hall.rows.get(key);
    if (!row?.event) return;
    press?.preventDefault();
    location.href = `/event/${row.event}`;
  },

  acknowledge(key) {
    const row = hall.rows.get(key);
    if (row?.new && hall.mayWrite) emitEvent("acknowledge", row.id);
  },

  group() {
    hall.grouped = !hall.grouped;
    try { localStorage.setItem("hall-grouped", hall.grouped ? "1" : "0"); } catch { /* it holds for this page */ }
    hall.arrange();
  },

  /* Puts the rows in order, leaves out what the filter does not want, and adds the headings of groups. */
  arrange() {
    const words = hall.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = hall.order.filter((key) => {
      const row = hall.rows.get(key);
      const text = `${row.name} ${row.host} ${row.group} ${row.state}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const items = [];
    if (hall.grouped) {
      const groups = new Map(); // in the order of their worst stream
      for (const key of wanted) {
        const name = hall.rows.get(key).group;
        if (!groups.has(name)) groups.set(name, []);
        groups.get(name).push(key);
      }
      for (const [name, keys] of groups) {
        items.push(hall.heading(name || "others", keys.length));
        items.push(...keys.map((key) => hall.parts.get(key).item));
      }
    } else items.push(...wanted.map((key) => hall.parts.get(key).item));
    // A row that is moved loses the focus.
    const focused = document.activeElement;
    items.forEach((item, i) => {
      if (hall.list.children[i] !== item) hall.list.insertBefore(item, hall.list.children[i] ?? null);
    });
    while (hall.list.children.length > items.length) hall.list.lastElementChild.remove();
    if (focused !== document.activeElement && hall.list.contains(focused)) focused.focus({ preventScroll: true });
    hall.groupButton.setAttribute("aria-pressed", String(hall.grouped));
    hall.nothing.textContent = !hall.order.length ? "No stream is stored yet: start `monitor live` with this state folder."
      : wanted.length ? "" : "No stream has these words in its name, group or state.";
    hall.list.classList.toggle("has-new", hall.mayWrite && wanted.some((key) => hall.rows.get(key).new));
    hall.count();
    hall.fit();
  },

  heading(name, count) {
    const known = [...hall.list.querySelectorAll("li.group")].find((one) => one.dataset.name === name);
    const item = known ?? page.make("li", { class: "group", "data-name": name });
    item.textContent = `${name} (${count})`;
    return item;
  },

  count() {
    const found = new Map();
    for (const key of hall.order) {
      const row = hall.rows.get(key);
      found.set(row.state, (found.get(row.state) ?? 0) + 1);
    }
    const words = [...found].map(([state, count]) => `${count} ${state}`).join(" ");
    if (words === hall.words) return;
    hall.words = words;
    hall.counts.replaceChildren(...[...found].map(([state, count]) => page.make("button", {
      class: "plain count", type: "button", title: `Show ${state} only`,
      "aria-label": `${count} ${state}, show only these`, onclick: () => hall.only(state.toLowerCase()),
    }, page.make("b", {}, String(count)), page.make("span", {
      class: `state ${state.toLowerCase().replaceAll(" ", "-")}` }, state))));
  },

  /* Filters by a state, or ends that. */
  only(word) {
    hall.filter.value = hall.filter.value === word ? "" : word;
    hall.arrange();
  },

  /* Columns and heights such that all rows can be seen, as far as the screen allows. */
  fit() {
    const count = hall.list.children.length;
    const room = innerHeight - hall.list.getBoundingClientRect().top - scrollY - 20;
    const most = innerWidth < 1000 ? 1 : innerWidth < 1800 ? 2 : 3;
    let columns = 1;
    while (columns < most && (count / columns) * 36 > room) columns += 1;
    const lines = Math.ceil(count / columns);
    const height = Math.max(26, Math.min(38, Math.floor(room / Math.max(lines, 1))));
    hall.list.style.setProperty("--lines", lines);
    hall.list.style.setProperty("--height", `${height}px`);
    hall.list.classList.toggle("narrow", innerWidth / columns < 900);
  },

  /* Moves the focus by some rows. */
  move(step) {
    const links = [...hall.list.querySelectorAll(".row")];
    const at = links.findIndex((one) => one.closest("li").contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + step));
    links[next]?.focus();
  },
};

page.keys.unshift(["↓ j", "next stream"], ["↑ k", "previous stream"], ["Enter", "open the stream"],
  ["e", "open its event"],
  ["a", "acknowledge"], ["/", "filter"], ["Esc", "leave the filter"], ["g g", "group, or not"]);
let lastKey = "";
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === hall.filter) {
    hall.filter.value = "";
    hall.arrange();
    hall.move(1);
    return;
  }
  if (event.target === hall.filter && event.key === "ArrowDown") { hall.move(1); event.preventDefault(); return; }
  if (page.isTyping(event)) return;
  const focused = document.activeElement?.closest?.("li[data-key]");
  if (event.key === "ArrowDown" || event.key === "j") hall.move(1);
  else if (event.key === "ArrowUp" || event.key === "k") hall.move(-1);
  else if (event.key === "Home") hall.move(-1e9);
  else if (event.key === "End") hall.move(1e9);
  else if (event.key === "/") hall.filter.focus();
  else if (event.key === "a" && focused) hall.acknowledge(focused.dataset.key);
  else if (event.key === "e" && focused && lastKey !== "g") hall.openEvent(focused.dataset.key);
  else if (event.key === "g" && lastKey === "g") hall.group();
  else { lastKey = event.key; return; }
  lastKey = "";
  event.preventDefault();
});
// NiceGUI makes the element with a script of its own, after this one.
new MutationObserver((_, observer) => {
  if (document.getElementById("hall") && document.getElementById("hall-data")) { observer.disconnect(); hall.begin(); }
}).observe(document.documentElement, { childList: true, subtree: true });
