/* The calendar: what takes longer is read after the month is shown; keys move through days and months. */
"use strict";

page.keys.push(["← → ↑ ↓", "day"], ["Enter", "events of the day"], ["p n", "previous and next month"]);

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("#filters");
  if (!form) return;
  for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
  form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (page.isTyping(event)) return;
  const link = { p: "month-before", PageUp: "month-before", n: "month-after", PageDown: "month-after" }[event.key];
  if (link) { event.preventDefault(); document.getElementById(link)?.click(); return; }
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
  const days = [...document.querySelectorAll("table.month a")];
  if (!step || !days.length) return;
  const at = days.indexOf(document.activeElement);
  const first = document.querySelector("table.month .today a") || days[0];
  (at < 0 ? first : days[Math.min(Math.max(at + step, 0), days.length - 1)]).focus();
  event.preventDefault();
});
async function readMinutes(table) {
  let found;
  try {
    const answer = await fetch(table.dataset.minutes);
    if (!answer.ok || answer.redirected) return;
    found = await answer.json();
  } catch { return; }
  for (const link of table.querySelectorAll("a[data-day]")) {
    const day = found[link.dataset.day];
    if (!day) continue;
    const worst = link.querySelector(".worst"), missed = link.querySelector(".missed");
    if (day.worst) { worst.textContent = day.worst; worst.classList.toggle("over", day.over); }
    if (day.missed) { missed.textContent = day.missed; missed.title = `not heard: ${day.missed}`; }
    const more = [day.worst && `highest share of the limit ${day.worst}`, day.missed && `not heard ${day.missed}`];
    link.setAttribute("aria-label", [link.getAttribute("aria-label"), ...more.filter(Boolean)].join("; "));
  }
  table.dataset.complete = "true";
}
new MutationObserver((_, observer) => {
  const table = document.querySelector("table.month");
  if (table) { observer.disconnect(); readMinutes(table); }
}).observe(document.documentElement, { childList: true, subtree: true });
