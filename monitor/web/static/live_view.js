// The last minutes of a stream: score and error against their limits, the spectrogram, and what is unusual now.
// Data come in slots of a tenth of a second, a few times a second; in between the picture moves by itself.
const KEPT_S = 180, FIRST_S = 60, DELAY_S = 0.8, FRAME_MS = 50;
const LOWEST_DB = -120, STEP_DB = 0.75, NO_BAND = 255;
const COLOURS = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97],
  [254, 194, 135], [252, 253, 191]];
const NAMES = ["ink", "muted", "line", "surface", "trace", "alert", "warn", "lost", "info"];
const SCALES = [1.25, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

const LUT = new Uint8ClampedArray(256 * 4);
for (let i = 0; i < 256; i++) {
  const at = (i / 255) * (COLOURS.length - 1), low = Math.min(Math.floor(at), COLOURS.length - 2);
  for (let c = 0; c < 3; c++) LUT[4 * i + c] = COLOURS[low][c] + (at - low) * (COLOURS[low + 1][c] - COLOURS[low][c]);
  LUT[4 * i + 3] = 255;
}

const hertz = (hz) => (hz < 1000 ? `${Math.round(hz)}` : `${+(hz / 1000).toFixed(1)} k`);
const figure = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toString());

export default {
  template: `
    <div class="live-view">
      <canvas ref="canvas" role="img" :aria-label="label" @pointermove="point" @pointerleave="pointer = null"></canvas>
    </div>`,
  props: { label: String, offset: Number },
  mounted() {
    this.slots = null; // rings of KEPT_S seconds
    this.pointer = null;
    this.colours = null;
    this.scales = { score: SCALES[0], error: SCALES[0] };
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.$el);
    this.themes = new MutationObserver(() => (this.colours = null));
    for (const one of [document.documentElement, document.body])
      this.themes.observe(one, { attributes: true, attributeFilter: ["class", "data-theme", "style"] });
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => (this.colours = null);
    this.system.addEventListener("change", this.recolour);
    this.visible = () => this.$emit("shown", !document.hidden);
    document.addEventListener("visibilitychange", this.visible);
    const frame = (now) => {
      if (this.gone) return;
      requestAnimationFrame(frame);
      if (now - (this.drawn || 0) < (this.calm.matches ? 1000 : FRAME_MS)) return;
      this.drawn = now;
      this.draw();
    };
    requestAnimationFrame(frame);
  },
  beforeUnmount() {
    this.gone = true;
    this.resizing.disconnect();
    this.themes.disconnect();
    this.system.removeEventListener("change", this.recolour);
    document.removeEventListener("visibilitychange", this.visible);
  },
  methods: {
    // Takes new slots: {slot_s, first, score, error, bands, spectrogram, band_hz, added, limit, error_limit, time}.
    push(data) {
      const count = Math.round(KEPT_S / data.slot_s);
      const newest = data.first + data.score.length - 1;
      let ring = this.slots;
      if (!ring || ring.bands !== data.bands || ring.slot_s !== data.slot_s || newest < ring.newest - 20) {
        ring = this.slots = {
          slot_s: data.slot_s, bands: data.bands, count, newest: data.first - 1, oldest: data.first,
          score: new Float32Array(count).fill(NaN), error: new Float32Array(count).fill(NaN),
          heard: new Uint8Array(count), levels: new Uint8Array(count * data.bands).fill(NO_BAND),
          picture: new OffscreenCanvas(count, data.bands || 1), low: null, high: null,
        };
        this.lag = null;
      }
      const bytes = Uint8Array.from(atob(data.spectrogram), (c) => c.charCodeAt(0));
      for (let slot = ring.newest + 1; slot < data.first; slot++) this.put(slot, NaN, NaN, null);
      for (let i = 0; i < data.score.length; i++)
        this.put(data.first + i, data.score[i] ?? NaN, data.error[i] ?? NaN, bytes.subarray(i * data.bands, (i + 1) * data.bands));
      Object.assign(ring, { hz: data.band_hz, added: data.added, limit: data.limit, error_limit: data.error_limit, wall: data.time });
      ring.newest = Math.max(ring.newest, newest);
      ring.oldest = Math.max(ring.oldest, ring.newest - count + 1);
      ring.arrived = performance.now() / 1000;
      this.range();
    },
    put(slot, score, error, bytes) {
      const ring = this.slots, at = slot % ring.count;
      ring.score[at] = score;
      ring.error[at] = error;
      ring.heard[at] = bytes !== null && bytes.some((one) => one !== NO_BAND) ? 1 : 0;
      if (bytes) ring.levels.set(bytes, at * ring.bands);
      else ring.levels.fill(NO_BAND, at * ring.bands, (at + 1) * ring.bands);
      if (ring.low !== null) this.paint(at, 1);
    },
    // Chooses what is dark and what is bright, by the levels that are shown; repaints all if they have moved.
    range() {
      const ring = this.slots, histogram = new Uint32Array(256);
      for (let i = 0; i < ring.levels.length; i += 3) histogram[ring.levels[i]]++;
      let total = 0;
      for (let i = 0; i < NO_BAND; i++) total += histogram[i];
      if (!total) return;
      const quantile = (share) => {
        let sum = 0;
        for (let i = 0; i < NO_BAND; i++) if ((sum += histogram[i]) >= share * total) return i;
        return NO_BAND - 1;
      };
      const low = quantile(0.05), high = Math.max(quantile(0.997), low + 20);
      if (ring.low === null || Math.abs(low - ring.low) > 8 || Math.abs(high - ring.high) > 8) {
        Object.assign(ring, { low, high });
        this.paint(0, ring.count);
      }
    },
    paint(from, columns) {
      const ring = this.slots;
      if (!ring.bands) return;
      const drawing = ring.picture.getContext("2d"), image = drawing.createImageData(columns, ring.bands);
      for (let column = 0; column < columns; column++)
        for (let band = 0; band < ring.bands; band++) {
          const level = ring.levels[(from + column) * ring.bands + band];
          if (level === NO_BAND) continue; // stays transparent
          const colour = Math.max(0, Math.min(255, Math.round((255 * (level - ring.low)) / (ring.high - ring.low))));
          const at = 4 * ((ring.bands - 1 - band) * columns + column);
          image.data.set(LUT.subarray(4 * colour, 4 * colour + 4), at);
        }
      drawing.putImageData(image, from, 0);
    },
    resize() {
      const canvas = this.$refs.canvas, ratio = devicePixelRatio || 1;
      if (!canvas) return;
      this.width = this.$el.clientWidth;
      this.height = this.$el.clientHeight;
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
      this.drawn = 0;
    },
    point(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      this.pointer = event.clientX - box.left;
    },
    theme() {
      if (this.colours) return this.colours;
      const style = getComputedStyle(this.$el), read = (name) => style.getPropertyValue(name).trim();
      return (this.colours = Object.fromEntries(NAMES.map((name) => [name, read(`--${name}`)])));
    },
    draw() {
      const canvas = this.$refs.canvas, ring = this.slots;
      if (!canvas || !this.width || !ring || document.hidden) return;
      const g = canvas.getContext("2d"), colours = this.theme(), narrow = this.width < 560;
      g.setTransform(canvas.width / this.width, 0, 0, canvas.height / this.height, 0, 0);
      g.clearRect(0, 0, this.width, this.height);
      g.font = `11px ${getComputedStyle(this.$el).fontFamily}`;
      const left = 44, bars = narrow ? 62 : 128, right = this.width - bars;
      const now = this.clock(), kept = Math.min(KEPT_S, (ring.newest - ring.oldest + 1) * ring.slot_s);
      const span = Math.max(FIRST_S, narrow ? Math.min(kept, 90) : kept);
      const x = (slot) => right - ((now - slot) * ring.slot_s * (right - left)) / span;
      const first = Math.max(ring.oldest, Math.floor(now - span / ring.slot_s) - 1);
      const bottom = this.height - 20, spectrum = Math.round((bottom - 24) * 0.42), score = Math.round((bottom - 24) * 0.32);
      const rows = { score: [14, 14 + score], error: [14 + score + 22, bottom - spectrum - 22], spectrum: [bottom - spectrum, bottom] };
      const view = { g, colours, left, right, x, first, now, bars };
      this.times(view, rows, span, narrow);
      this.unheard(view, rows);
      this.line(view, rows.score, "score", "Score", ring.score, ring.limit);
      this.line(view, rows.error, "error", "Reconstruction error", ring.error, ring.error_limit);
      this.spectrogram(view, rows.spectrum);
      this.unusual(view, rows.spectrum, narrow);
      this.readings(view, rows);
    },
    // The slot at the right edge, which moves evenly although data come in portions.
    clock() {
      const ring = this.slots, target = ring.newest - (DELAY_S - (performance.now() / 1000 - ring.arrived)) / ring.slot_s;
      const wanted = Math.min(target, ring.newest + 1), seconds = performance.now() / 1000;
      if (this.lag === null || Math.abs(wanted - this.lag.slot) > 3 / ring.slot_s) this.lag = { slot: wanted, seconds };
      const even = this.lag.slot + (seconds - this.lag.seconds) / ring.slot_s;
      this.lag = { slot: Math.min(even + 0.04 * (wanted - even), ring.newest + 1), seconds };
      return this.calm.matches ? ring.newest + 1 : this.lag.slot;
    },
    wall(slot) { // local time of the monitor, as a date whose UTC fields are to be read
      const ring = this.slots;
      return new Date((ring.wall - (ring.newest - slot) * ring.slot_s + (this.offset || 0)) * 1000);
    },
    times({ g, colours, left, right, x, now }, rows, span, narrow) {
      const ring = this.slots, step = span > 100 ? 30 : narrow ? 20 : 10, newest = this.wall(now).getTime() / 1000;
      g.textAlign = "center";
      g.lineWidth = 1;
      for (let at = Math.floor(newest / step) * step; at > newest - span; at -= step) {
        const where = x(now - (newest - at) / ring.slot_s);
        if (where < left) break;
        g.strokeStyle = colours.line;
        for (const [top, low] of [rows.score, rows.error]) {
          g.beginPath();
          g.moveTo(where, top);
          g.lineTo(where, low);
          g.stroke();
        }
        g.fillStyle = colours.muted;
        if (where > left + 18 && where < right - 14) g.fillText(new Date(at * 1000).toISOString().slice(11, 19), where, rows.spectrum[1] + 15);
      }
    },
    unheard({ g, colours, left, right, x, first }, rows) {
      const ring = this.slots;
      g.fillStyle = colours.lost;
      g.globalAlpha = 0.14;
      for (let slot = first; slot <= ring.newest; slot++) {
        if (slot < ring.oldest || ring.heard[slot % ring.count]) continue;
        const from = Math.max(x(slot), left), to = Math.min(x(slot + 1), right);
        if (to > from) for (const [top, low] of Object.values(rows)) g.fillRect(from, top, to - from + 0.5, low - top);
      }
      g.globalAlpha = 1;
    },
    line({ g, colours, left, right, x, first, bars }, [top, low], key, title, values, limit) {
      const ring = this.slots, unit = limit > 0 ? limit : null;
      let highest = 0, newest = null;
      for (let slot = Math.max(first, ring.oldest); slot <= ring.newest; slot++) {
        const value = values[slot % ring.count];
        if (value > highest) highest = value;
        if (!Number.isNaN(value)) newest = value;
      }
      const need = highest / (unit || highest || 1);
      if (need > this.scales[key] * 0.98 || need < this.scales[key] / 3) this.scales[key] = SCALES.find((one) => one * 0.95 > need) || need * 1.2;
      const full = this.scales[key] * (unit || highest || 1);
      const y = (value) => low - (Math.min(value, full) / full) * (low - top);
      g.strokeStyle = colours.line;
      g.beginPath();
      g.moveTo(left, low + 0.5);
      g.lineTo(right, low + 0.5);
      g.stroke();
      const path = new Path2D(), area = new Path2D();
      let open = false, last = 0;
      for (let slot = Math.max(first, ring.oldest); slot <= ring.newest; slot++) {
        const value = values[slot % ring.count], at = x(slot + 0.5);
        if (Number.isNaN(value)) {
          if (open) area.lineTo(last, low), area.closePath();
          open = false;
          continue;
        }
        if (open) path.lineTo(at, y(value)), area.lineTo(at, y(value));
        else path.moveTo(at, y(value)), area.moveTo(at, low), area.lineTo(at, y(value));
        open = true;
        last = at;
      }
      if (open) area.lineTo(last, low), area.closePath();
      const parts = unit ? [[y(unit), low, colours.trace], [top - 4, y(unit), colours.alert]] : [[top, low, colours.trace]];
      for (const [from, to, colour] of parts) {
        g.save();
        g.beginPath();
        g.rect(left, from, right - left, to - from + 1);
        g.clip();
        g.fillStyle = g.strokeStyle = colour;
        g.globalAlpha = 0.16;
        g.fill(area);
        g.globalAlpha = 1;
        g.lineWidth = 1.6;
        g.lineJoin = "round";
        g.stroke(path);
        g.restore();
      }
      g.lineWidth = 1;
      g.textAlign = "right";
      g.fillStyle = colours.muted;
      if (!unit || low - y(unit) > 12) g.fillText("0", left - 6, low + 3);
      if (unit) {
        g.strokeStyle = colours.warn;
        g.setLineDash([4, 3]);
        g.beginPath();
        g.moveTo(left, y(unit));
        g.lineTo(right, y(unit));
        g.stroke();
        g.setLineDash([]);
        g.fillStyle = colours.warn;
        g.fillText("limit", left - 6, y(unit) + 4);
      }
      g.textAlign = "left";
      g.fillStyle = colours.muted;
      g.fillText(title, left, top - 5);
      const over = unit && newest > unit;
      g.fillStyle = over ? colours.alert : colours.ink;
      const family = g.font.slice(g.font.indexOf(" ") + 1);
      g.font = `600 ${bars < 100 ? 16 : 20}px ${family}`;
      g.fillText(figure(newest), right + 10, top + 18);
      g.font = `11px ${family}`;
      g.fillStyle = colours.muted;
      if (unit) g.fillText(`limit ${figure(limit)}`, right + 10, top + 34);
      if (unit && newest !== null && low - top > 45) g.fillText(`${Math.round((100 * newest) / unit)} %`, right + 10, top + 50);
    },
    spectrogram({ g, colours, left, right, x, first }, [top, low]) {
      const ring = this.slots;
      g.fillStyle = colours.muted;
      g.textAlign = "left";
      g.fillText("Spectrogram, Hz", left, top - 5);
      if (ring.low === null || !ring.bands) return;
      g.save();
      g.beginPath();
      g.rect(left, top, right - left, low - top);
      g.clip();
      g.imageSmoothingEnabled = false;
      for (let slot = Math.max(first, ring.oldest); slot <= ring.newest;) {
        const at = slot % ring.count, columns = Math.min(ring.count - at, ring.newest - slot + 1), from = x(slot);
        g.drawImage(ring.picture, at, 0, columns, ring.bands, from, top, x(slot + columns) - from, low - top);
        slot += columns;
      }
      g.restore();
      g.textAlign = "right";
      for (const hz of [100, 200, 500, 1000, 2000, 5000, 10000, 20000]) {
        const row = this.row(hz);
        if (row === null) continue;
        const at = low - ((row + 0.5) / ring.bands) * (low - top);
        if (this.labelled !== undefined && Math.abs(this.labelled - at) < 13) continue;
        this.labelled = at;
        g.fillStyle = colours.muted;
        g.fillText(hertz(hz), left - 6, at + 4);
      }
      this.labelled = undefined;
    },
    row(hz) { // where a frequency is among the bands; null if it is outside of them
      const all = this.slots.hz;
      if (!all.length || hz < all[0] || hz > all[all.length - 1]) return null;
      let above = 1;
      while (above < all.length - 1 && all[above] < hz) above++;
      return above - 1 + (hz - all[above - 1]) / Math.max(all[above] - all[above - 1], 1e-6);
    },
    // What each band adds to the score now, beside its row: new sound solid, missing sound hollow.
    unusual({ g, colours, right, bars }, [top, low], narrow) {
      const ring = this.slots, all = ring.added || [], height = (low - top) / Math.max(ring.bands, 1), start = right + 10;
      g.textAlign = "left";
      g.fillStyle = colours.muted;
      g.fillText(narrow ? "Unusual" : "What is unusual", start, top - 5);
      const largest = Math.max(0.25, ...all.map((one) => Math.abs(one ?? 0)));
      all.forEach((value, band) => {
        if (!value) return;
        const length = Math.max(1, (Math.abs(value) / largest) * (bars - 14)), y = low - (band + 1) * height;
        g.fillStyle = g.strokeStyle = Math.abs(value) < 0.08 ? colours.muted : value > 0 ? colours.alert : colours.info;
        g.globalAlpha = Math.abs(value) < 0.08 ? 0.45 : 1;
        if (value > 0 || height < 3) g.fillRect(start, y + 0.3, length, Math.max(height - 0.6, 0.8));
        else g.strokeRect(start + 0.5, y + 0.5, length - 1, Math.max(height - 1.2, 0.8));
        g.globalAlpha = 1;
      });
    },
    // The values under the pointer.
    readings({ g, colours, left, right, x, first }, rows) {
      const ring = this.slots;
      if (this.pointer === null || this.pointer < left || this.pointer > right) return;
      let slot = first;
      while (slot < ring.newest && x(slot + 1) <= this.pointer) slot++;
      if (slot < ring.oldest) return;
      const at = slot % ring.count, near = x(slot + 0.5);
      g.strokeStyle = colours.muted;
      g.beginPath();
      g.moveTo(near, rows.score[0]);
      g.lineTo(near, rows.spectrum[1]);
      g.stroke();
      const value = (number) => (Number.isNaN(number) ? "not heard" : figure(number));
      const texts = [[rows.score, `${this.wall(slot).toISOString().slice(11, 21)}  ${value(ring.score[at])}`], [rows.error, value(ring.error[at])]];
      for (const [[top], text] of texts) {
        const width = g.measureText(text).width + 10, box = near + width + 8 > right ? near - width - 6 : near + 6;
        g.textAlign = "left";
        g.fillStyle = colours.surface;
        g.fillRect(box, top + 2, width, 18);
        g.strokeStyle = colours.line;
        g.strokeRect(box + 0.5, top + 2.5, width - 1, 17);
        g.fillStyle = colours.ink;
        g.fillText(text, box + 5, top + 15);
      }
    },
    // For tests: the newest slot, and how many there are.
    newest() {
      return this.slots ? [this.slots.newest, this.slots.newest - this.slots.oldest + 1] : null;
    },
  },
};
