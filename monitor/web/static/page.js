/* On every page: the theme, keys, and lines that the server sends. Loaded in the head, so nothing flashes. */
"use strict";

const page = {
  THEMES: ["auto", "dark", "light"],
  keys: [["?", "show the keys"], ["g h", "hall"], ["g e", "events"], ["g c", "calendar"]],

  theme() {
    try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; }
  },
  useTheme(name) {
    try { localStorage.setItem("theme", name); } catch { /* a browser that stores nothing */ }
    page.paint();
  },
  paint() {
    const name = page.theme();
    const dark = name === "dark" || (name === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    if (window.darkSetter) window.darkSetter(dark);
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = { auto: "◐", dark: "☾", light: "☀" }[name];
      button.setAttribute("aria-label", `Theme: ${name}`);
      button.title = `Theme: ${name}`;
    }
  },

  /* An element with attributes and children; text is never taken for HTML. */
  make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  },

  /* A time of day, with the date unless it is today's. */
  time(seconds) {
    const then = new Date(seconds * 1000);
    const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    if (then.toDateString() === new Date().toDateString()) return time;
    return then.toLocaleDateString([], { day: "numeric", month: "short" }) + " " + time;
  },

  /* Sentences on what is not available: [[text, since or null], …]. */
  notices(lines) {
    const box = document.getElementById("notices");
    if (!box) return;
    box.replaceChildren(...lines.map(([text, since]) =>
      page.make("p", {}, since ? `${text} Since ${page.time(since)}.` : text)));
  },
  /* Events that arrived while the page is open. */
  arrived(events) {
    const box = document.getElementById("arrivals");
    if (!box) return;
    for (const one of events) {
      if (document.getElementById(`arrived-${one.id}`)) continue;
      const line = page.make("p", { id: `arrived-${one.id}`, class: one.look },
        page.make("span", {}, page.time(one.time)), page.make("a", { href: `/event/${one.id}` }, one.text),
        page.make("span", { class: "grow" }),
        page.make("button", { class: "plain", type: "button", "aria-label": "Hide this line",
          onclick: () => line.remove() }, "✕"));
      box.prepend(line);
    }
    while (box.children.length > 3) box.lastElementChild.remove();
  },
  /* A sentence that goes away by itself. */
  say(text, seconds = 5) {
    const line = page.make("p", {}, text);
    document.getElementById("said")?.append(line);
    setTimeout(() => line.remove(), 1000 * seconds);
  },

  showKeys() {
    document.querySelector("dialog.keys")?.remove();
    const list = page.make("dl");
    for (const [key, what] of page.keys) {
      const names = key.split(" ").flatMap((one) => [page.make("kbd", {}, one), " "]);
      list.append(page.make("dt", {}, ...names), page.make("dd", {}, what));
    }
    const dialog = page.make("dialog", { class: "keys", "aria-label": "Keys" }, page.make("h2", {}, "Keys"), list,
      page.make("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Close"));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  },
  /* Whether a key that was pressed belongs to a field. */
  isTyping(event) {
    return event.ctrlKey || event.metaKey || event.altKey ||
      event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable=true], dialog") !== null;
  },
};

page.paint();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", page.paint);
addEventListener("storage", page.paint);

let begun = 0; // when g was pressed
document.addEventListener("keydown", (event) => {
  if (page.isTyping(event)) return;
  const to = { h: "/", e: "/events", c: "/calendar" }[event.key];
  if (event.key === "?") { page.showKeys(); event.preventDefault(); }
  else if (to && Date.now() - begun < 1500) location.href = to;
  begun = event.key === "g" ? Date.now() : 0;
});
document.addEventListener("click", (event) => {
  if (event.target.closest?.("#theme")) {
    const names = page.THEMES;
    page.useTheme(names[(names.indexOf(page.theme()) + 1) % names.length]);
  }
});
// The header is made by a script of NiceGUI, after this one.
new MutationObserver((_, observer) => {
  if (document.getElementById("theme")) { page.paint(); observer.disconnect(); }
}).observe(document.documentElement, { childList: true, subtree: true });
