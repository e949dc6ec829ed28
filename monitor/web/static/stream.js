/* The page of a stream: keys for its buttons. */
"use strict";

page.keys.push(["1 2 3", "1 h, 24 h, 30 d"], ["w", "against the time before"], ["q", "what is shown"], ["a", "acknowledge"],
  ["m", "mute"]);

document.addEventListener("keydown", (event) => {
  if (page.isTyping(event) || !/^[0-9a-z]$/.test(event.key)) return;
  const found = document.querySelector(`[data-key="${event.key}"]`);
  if (!found || found.closest(".hidden") || found.offsetParent === null) return;
  event.preventDefault();
  found.focus();
  if (found.tagName !== "SELECT") found.click();
});
// A choice that stands in the address.
new MutationObserver((_, observer) => {
  const choice = document.querySelector("select[data-value]");
  if (!choice?.options.length) return;
  observer.disconnect();
  choice.value = choice.dataset.value;
}).observe(document.documentElement, { childList: true, subtree: true });
