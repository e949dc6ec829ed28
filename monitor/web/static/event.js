/* The page of an event: player, pictures, keys, and what people change. */
"use strict";

{
  const STEP_S = 1, POLL_MS = 5000;
  let root, media, facts = null, version = "", busy = false;
  const sounds = {}; // audio elements by "event-all", …
  let side = "event", bands = "all";

  const all = (selector, within = root) => [...within.querySelectorAll(selector)];
  const one = (selector, within = root) => within.querySelector(selector);
  const put = (name, text) => all(`[data-fact="${name}"]`).forEach((place) => { place.textContent = text; place.hidden = !text; });
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  /* Sound: an audio element for each of the sounds that can be compared, of which one plays. */
  const current = () => sounds[`${side}-${bands}`];
  const length = () => facts?.seconds || current()?.duration || 0;

  function addSound(name, source) {
    const audio = page.make("audio", { src: source, preload: name === "event-all" ? "auto" : "metadata", "data-sound": name });
    for (const what of ["play", "pause", "ended", "seeked", "loadedmetadata"]) audio.addEventListener(what, show);
    audio.addEventListener("error", () => {
      if (facts) put("gain", "This sound cannot be played: reload the page, or download the clip.");
      else one(".play").disabled = true; // it was said already why
    });
    one(".event-player").append(audio);
    sounds[name] = audio;
  }
  function play() {
    const audio = current();
    if (!audio) return;
    if (!audio.paused) { audio.pause(); return; }
    if (audio.ended || audio.currentTime >= length() - 0.05) audio.currentTime = 0;
    // From a little before the anomaly, if nothing was heard yet: that is what one wants to hear.
    if (!one(".event-player").dataset.heard && audio.currentTime === 0 && facts?.began > 3) audio.currentTime = facts.began - 2;
    one(".event-player").dataset.heard = "yes";
    Object.values(sounds).forEach((other) => { other.preload = "auto"; });
    audio.play().catch(() => {});
  }
  function seek(seconds) {
    const audio = current();
    if (!audio) return;
    one(".event-player").dataset.heard = "yes";
    audio.currentTime = Math.min(Math.max(seconds, 0), Math.max(length() - 0.01, 0));
    show();
  }
  /* Plays another sound from the same position on. */
  function change(newSide, newBands) {
    if (!sounds[`${newSide}-${newBands}`]) return;
    const before = current(), playing = before && !before.paused, at = before?.currentTime || 0;
    before?.pause();
    [side, bands] = [newSide, newBands];
    current().currentTime = at;
    if (playing) current().play().catch(() => {});
    show();
  }
  function show() {
    const audio = current(), playing = audio && !audio.paused && !audio.ended;
    const button = one(".play");
    if (button) {
      button.dataset.playing = playing ? "yes" : "";
      one(".word", button).textContent = playing ? "Pause" : "Play";
    }
    for (const choice of all("[data-side]")) choice.setAttribute("aria-pressed", choice.dataset.side === side);
    for (const choice of all("[data-bands]")) choice.setAttribute("aria-pressed", choice.dataset.bands === bands);
    root.dataset.hears = side;
    tellGain();
    move();
    if (playing) requestAnimationFrame(follow);
  }
  function follow() {
    move();
    if (current() && !current().paused) requestAnimationFrame(follow);
  }
  function move() {
    const at = current()?.currentTime || 0, whole = length();
    if (one(".clock")) one(".clock").textContent = `${clock(at)} / ${clock(whole)}`;
    for (const cursor of all(".cursor")) cursor.style.left = `${whole ? (100 * at) / whole : 0}%`;
    const slider = one("[role=slider]");
    if (slider) {
      slider.setAttribute("aria-valuenow", at.toFixed(1));
      slider.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${whole.toFixed(1)} seconds`);
    }
  }
  function tellGain() {
    if (!facts?.gains) return;
    const gain = facts.gains[bands];
    const louder = gain < 0.5 ? "as loud as recorded" : `${gain.toFixed(0)} dB louder than recorded`;
    const both = facts.normal ? ", event and normal sound alike" : "";
    const what = bands === "all" ? "" : `Only ${one("[data-bands=bands]").title}. `;
    put("gain", `${what}Played ${louder}${both}.`);
  }

  /* Pictures */
  const strip = (name) => one(`[data-picture="${name}"] .strip`);
  const percent = (share) => `${(100 * share).toFixed(3)}%`;
  function svg(tag, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }
  /* Those of the ticks, high ones first, between which there is room for their texts. */
  function legible(ticks, pixels) {
    const shown = [];
    for (const tick of ticks) {
      if (shown.every(([, other]) => Math.abs(other - tick[1]) * pixels >= 14)) shown.push(tick);
    }
    return shown;
  }
  function overlay(place) {
    const span = page.make("div", { class: "span", title: "the anomaly" });
    span.style.left = percent(facts.began / facts.seconds);
    span.style.width = percent(Math.max(facts.ended - facts.began, 0) / facts.seconds);
    place.append(span, page.make("div", { class: "cursor" }));
  }
  function drawPictures() {
    one(".event-model").hidden = facts.pictures.length < 2; // first, because what is hidden has no height
    for (const name of facts.pictures) {
      const lane = one(`[data-picture="${name}"]`), image = one("img", lane);
      image.src = `${media}/${name}.png`;
      image.hidden = lane.hidden = false;
      one(".axis", lane).replaceChildren(...legible(facts.ticks, one(".axis", lane).clientHeight).map(([text, height]) => {
        const tick = page.make("span", {}, text);
        tick.style.bottom = percent(height);
        return tick;
      }));
      overlay(one(".strip", lane));
    }
    for (const [low, high] of facts.bands) {
      const mark = page.make("div", { class: "band", title: "a band of the anomaly" });
      mark.style.bottom = percent(low);
      mark.style.height = percent(Math.max(high - low, 0.01));
      strip("recorded").append(mark);
    }
    put("range", `${facts.range.map((level) => level.toFixed(facts.unit === "dB" ? 0 : 3)).join(" to ")} ${facts.unit}, Hz`);
    if (facts.scale) put("scale", `full colour: ${facts.scale.toPrecision(2)} ${facts.unit}`);
    if (facts.normal) {
      put("normal", `of ${page.time(facts.normal.began)}, ${facts.normal.seconds.toFixed(0)} s, repeated`);
    }
  }
  function drawBars() {
    const place = one(".bars"), values = facts.contributions;
    if (!values || !place) return;
    const longest = Math.max(...values.map(Math.abs), 1e-9), count = values.length;
    const picture = svg("svg", { viewBox: `-1 0 2 ${count}`, preserveAspectRatio: "none" });
    values.forEach((value, index) => {
      const width = Math.abs(value) / longest;
      picture.append(svg("rect", { x: value < 0 ? -width : 0, y: count - 1 - index, width, height: 1, class: value < 0 ? "less" : "more" }));
    });
    picture.append(svg("line", { x1: 0, x2: 0, y1: 0, y2: count, class: "zero" }));
    place.replaceChildren(page.make("span", { class: "less" }, "missing"), page.make("span", { class: "more" }, "new"), picture);
    const strongest = one(".event-facts dl")?.textContent.match(/\d[^\n]*(new|missing), \d+ %/)?.[0];
    place.setAttribute("aria-label", `How much each frequency adds to the score${strongest ? `; most: ${strongest}` : ""}`);
  }
  function drawScore() {
    const points = facts.score, lane = one('[data-picture="score"]');
    if (!points?.some((value) => value !== null)) return;
    const top = 1.15 * Math.max(1.15, ...points.filter((value) => value !== null)), width = points.length;
    const height = (value) => 100 * (1 - value / top);
    let line = "", area = "", began = null;
    points.forEach((value, index) => {
      const x = index + 0.5;
      if (value === null) {
        if (began !== null) area += `L${x - 1},${height(1)}Z`;
        began = null;
        return;
      }
      line += `${began === null ? "M" : "L"}${x},${height(value).toFixed(2)}`;
      area += began === null ? `M${x},${height(1)}L${x},${height(Math.max(value, 1)).toFixed(2)}` : `L${x},${height(Math.max(value, 1)).toFixed(2)}`;
      began = index;
    });
    if (began !== null) area += `L${began + 0.5},${height(1)}Z`;
    const picture = svg("svg", { viewBox: `0 0 ${width} 100`, preserveAspectRatio: "none" });
    picture.append(svg("path", { d: area, class: "above" }), svg("path", { d: line, class: "line" }),
      svg("line", { x1: 0, x2: width, y1: height(1), y2: height(1), class: "limit" }));
    const tick = (text, value) => {
      const made = page.make("span", {}, text);
      made.style.bottom = percent(value / top);
      return made;
    };
    const highest = Math.max(...points.filter((value) => value !== null));
    const ticks = [tick("limit", 1)];
    if (highest > 1.6) ticks.push(tick(highest < 10 ? `${(100 * highest).toFixed(0)} %` : `${highest.toFixed(0)} ×`, highest));
    one(".axis", lane).replaceChildren(...ticks);
    strip("score").replaceChildren(picture);
    overlay(strip("score"));
    lane.hidden = false;
  }

  /* The clip and what was computed of it. Without the latter, the clip itself can be heard. */
  async function prepare() {
    if (!one(".play")) return;
    one("[data-bands=bands]").title = root.dataset.bands;
    let found = null, problem = "";
    try {
      const answer = await fetch(`${media}/analysis.json`);
      found = await answer.json();
      problem = found.problem || "";
    } catch {
      problem = "The page does not answer.";
    }
    if (problem) {
      addSound("event-all", `${media}/clip.flac`);
      put("gain", `Neither pictures nor a comparison: ${problem}`);
      one('[data-picture="recorded"]').hidden = true;
    } else {
      facts = found;
      for (const name of Object.keys(facts.gains)) {
        addSound(`event-${name}`, `${media}/event-${name}.flac`);
        if (facts.normal) addSound(`normal-${name}`, `${media}/normal-${name}.flac`);
      }
      one('[data-choice="side"]').hidden = !facts.normal;
      one('[data-choice="bands"]').hidden = !facts.gains.bands;
      one("[role=slider]").setAttribute("aria-valuemax", facts.seconds.toFixed(1));
      drawPictures();
      drawBars();
      drawScore();
      put("notes", [facts.model_note, facts.cut, facts.normal_missing,
        facts.normal?.held ? "The normal sound is held back from learning, because it is near an anomaly: it may have a trace of the fault." : "",
        facts.normal ? "" : "There is no normal sound to compare with yet: the monitor gathers it while it runs."].filter(Boolean).join(" "));
    }
    one(".play").disabled = false;
    show();
  }

  /* What people change, and what others have changed meanwhile */
  const shown = {}; // the parts as the server has given them last
  function take(parts) {
    version = parts.version;
    for (const name of ["ways", "judge", "facts"]) {
      const place = one(`[data-part="${name}"]`);
      if (parts[name] === undefined || (parts[name] === shown[name] && !(name === "judge" && parts.after))) continue;
      shown[name] = parts[name];
      const typed = one("input[name=comment]", place)?.value, focused = place.contains(document.activeElement);
      place.innerHTML = name === "judge" && parts.after || parts[name]; // with the way to the next event
      if (name !== "judge") continue;
      if (typed && !parts.after) one("input[name=comment]", place).value = typed;
      if (focused || parts.after) (one(".on", place) || one("[aria-pressed=true]", place) || one("button", place))?.focus();
    }
    const player = one('[data-part="player"]');
    if (parts.player?.includes("player-bar") && !one(".play")) {
      player.innerHTML = parts.player; // the clip was written just now
      prepare();
    }
  }
  async function send(what, body) {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(`/event/${root.dataset.event}/${what}`, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      if (answer.status === 401) { location.reload(); return; }
      const parts = await answer.json();
      if (parts.problem) page.say(`Nothing was changed: ${parts.problem}`, 20);
      else take(parts);
    } catch {
      page.say("The page does not answer. Look here again before you try once more: it may have been done.", 20);
    } finally {
      busy = false;
    }
  }
  async function look() {
    if (document.hidden || busy) return;
    try {
      const answer = await fetch(`/event/${root.dataset.event}/parts?known=${version}`);
      if (answer.status === 401) { location.reload(); return; }
      const parts = await answer.json();
      if (parts.version && parts.version !== version && !busy) take(parts);
    } catch { /* the next look is soon */ }
  }

  function onClick(event) {
    const button = event.target.closest("button");
    if (button?.matches(".play")) play();
    else if (button?.dataset.side) change(button.dataset.side, bands);
    else if (button?.dataset.bands) change(side, button.dataset.bands);
    else if (button?.dataset.verdict !== undefined) {
      send("verdict", { verdict: button.dataset.verdict, comment: one("input[name=comment]")?.value || "" });
    } else if (button?.dataset.act === "acknowledge") send("acknowledge", {});
    else if (button?.dataset.act === "lock") send("lock", { locked: button.dataset.locked === "true" });
  }
  /* A press on a picture moves the cursor; so does pulling it. */
  function onPress(event) {
    const place = event.target.closest(".strip");
    if (!place || event.button !== 0 || !length()) return;
    const to = (moved) => {
      const box = place.getBoundingClientRect();
      seek(length() * Math.min(Math.max((moved.clientX - box.left) / box.width, 0), 1));
    };
    to(event);
    place.setPointerCapture(event.pointerId);
    place.addEventListener("pointermove", to);
    const end = () => place.removeEventListener("pointermove", to);
    place.addEventListener("pointerup", end, { once: true });
    place.addEventListener("pointercancel", end, { once: true });
  }
  let afterG = 0; // g and another letter are keys of all pages
  function onKey(event) {
    if (event.target.matches?.("input[name=comment]") && event.key === "Escape") event.target.blur();
    const second = Date.now() - afterG < 1500;
    if (page.isTyping(event)) return;
    afterG = event.key === "g" ? Date.now() : 0;
    if (second) return;
    // The space bar presses what has the focus, but in the player it plays: one has just clicked there.
    if (event.key === " " && event.target.matches?.("button, summary") && !event.target.closest(".player-bar")) return;
    const seconds = { ArrowLeft: -STEP_S, ArrowRight: STEP_S }[event.key];
    if (event.key === " ") play();
    else if (seconds) seek((current()?.currentTime || 0) + seconds * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home" && event.target.matches?.("[role=slider]")) seek(0);
    else if (event.key === "End" && event.target.matches?.("[role=slider]")) seek(length());
    else if (event.key === "a") change(side === "event" ? "normal" : "event", bands);
    else if (event.key === "b") change(side, bands === "all" ? "bands" : "all");
    else {
      const target = all(`[aria-keyshortcuts~="${CSS.escape(event.key)}"]`)[0];
      if (!target || event.key === "Space") return;
      if (target.matches("input")) target.focus();
      else target.click();
    }
    event.preventDefault();
  }

  function begin() {
    root = document.querySelector("article.event");
    if (!root || root.dataset.begun) return;
    root.dataset.begun = "yes";
    observer.disconnect();
    media = root.dataset.media;
    root.addEventListener("click", onClick);
    root.addEventListener("pointerdown", onPress);
    document.addEventListener("keydown", onKey);
    document.addEventListener("keyup", (event) => {
      if (event.key === " " && event.target.closest?.(".player-bar")) event.preventDefault();
    });
    page.keys.unshift(["Space", "play or pause"], ["← →", "one second back or on"], ["a", "event or normal sound"],
      ["b", "all sound, or only its bands"], ["1 … 5", "verdict"], ["0", "withdraw the verdict"], ["m", "comment"],
      ["s", "acknowledge"], ["l", "keep whatever its age"], ["n j", "older event"], ["p k", "newer event"],
      ["u", "next without verdict"]);
    prepare();
    look();
    setInterval(look, POLL_MS);
    document.addEventListener("visibilitychange", look);
  }
  // The content is made by a script of NiceGUI, after this one.
  const observer = new MutationObserver(begin);
  observer.observe(document.documentElement, { childList: true, subtree: true });
  begin();
}
