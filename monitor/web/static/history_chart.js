// A stream's last hour, day or month: mean and highest values against the limit, the time before, states and events.
import { echarts } from "nicegui-echart";

const NAMES = ["ink", "muted", "line", "surface", "trace", "alert", "warn", "lost", "info", "idle"];
const figure = (value, percent) => {
  if (value === null || value === undefined) return "–";
  return percent ? `${Math.round(100 * value)} %` : Number(value.toPrecision(3)).toString();
};

export default {
  template: `<div class="history-chart" tabindex="0" role="img" :aria-label="label" @keydown="key" @blur="hide"></div>`,
  props: { data: Object, label: String },
  mounted() {
    this.chart = echarts.init(this.$el, null, { renderer: "canvas" });
    this.chart.on("click", (event) => {
      if (event.seriesId === "events") this.$emit("opened", event.data.event);
    });
    this.resizing = new ResizeObserver(() => {
      this.chart.resize();
      this.show();
    });
    this.resizing.observe(this.$el);
    this.recolour = () => this.show();
    this.themes = new MutationObserver(this.recolour);
    for (const one of [document.documentElement, document.body])
      this.themes.observe(one, { attributes: true, attributeFilter: ["class", "data-theme"] });
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", this.recolour);
    this.show();
  },
  beforeUnmount() {
    this.resizing.disconnect();
    this.themes.disconnect();
    this.system.removeEventListener("change", this.recolour);
    this.chart.dispose();
  },
  watch: {
    data() {
      this.show();
    },
  },
  methods: {
    show() {
      if (!this.data?.time || !this.chart) return;
      const style = getComputedStyle(this.$el);
      const colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
      this.chart.setOption(this.options(this.data, colours, style.fontFamily), { notMerge: true });
    },
    options(data, colours, fontFamily) {
      const narrow = this.$el.clientWidth < 560, percent = data.quantity === "share";
      const points = (values) => values.map((value, i) => [data.time[i] + data.step / 2, value]);
      const values = [...data.highest, ...data.mean, ...(data.before || [])].filter((one) => one !== null);
      const level = data.quantity === "level";
      const top = level ? undefined : Math.max(1.15 * (data.limit ?? 0), 1.08 * Math.max(0, ...values)) || 1;
      const ticks = new Map(data.ticks);
      const shown = data.ticks.filter((_, i) => !narrow || i % 2 === 0).map(([at]) => at);
      const over = data.limit !== null && !level;
      const height = this.$el.clientHeight, above = 26, below = 66; // rows above and below the chart
      // Above the limit the line is red: a gradient in pixels of the whole chart, with a step at the limit.
      const at = over ? (above + (1 - data.limit / top) * (height - above - below)) / height : 0;
      const paint = !over ? colours.trace : { type: "linear", global: true, x: 0, y: 0, x2: 0, y2: height,
        colorStops: [[0, colours.alert], [at, colours.alert], [at, colours.trace], [1, colours.trace]].map(([offset, color]) => ({ offset, color })) };
      const axis = { type: "value", min: data.since, max: data.until, axisLine: { lineStyle: { color: colours.line } } };
      const state = { normal: colours.trace, warning: colours.warn, anomaly: colours.alert, off: colours.idle,
        new_mode: colours.info, listening: colours.muted, not_heard: colours.lost };
      const heights = { normal: 0.35, warning: 0.7, anomaly: 1, off: 0.15, new_mode: 0.55, listening: 0.25, not_heard: 1 };
      return {
        animation: false,
        aria: { enabled: false },
        textStyle: { fontFamily, color: colours.muted },
        grid: [{ left: narrow ? 46 : 58, right: 14, top: above, bottom: below }, { left: narrow ? 46 : 58, right: 14, height: 14, bottom: 30 }],
        xAxis: [
          { ...axis, gridIndex: 0, axisLabel: { show: false }, axisTick: { show: false },
            splitLine: { show: true, lineStyle: { color: colours.line }, showMinLine: false, showMaxLine: false },
            interval: data.until - data.since },
          { ...axis, gridIndex: 1, splitLine: { show: false }, axisLine: { show: false },
            axisTick: { customValues: shown, lineStyle: { color: colours.line } },
            axisLabel: { customValues: shown, color: colours.muted, fontSize: 12, hideOverlap: true,
              formatter: (at) => ticks.get(at) ?? "" } },
        ],
        yAxis: [
          { type: "value", gridIndex: 0, min: level ? "dataMin" : 0, max: level ? "dataMax" : top, scale: level, splitNumber: narrow ? 3 : 4,
            axisLabel: { color: colours.muted, fontSize: 12, showMaxLabel: false, formatter: (one) => (level ? `${Math.round(one)} dB` : figure(one, percent)) },
            splitLine: { lineStyle: { color: colours.line } } },
          { type: "value", gridIndex: 1, min: 0, max: 1, show: false },
        ],
        tooltip: {
          trigger: "axis", confine: true, backgroundColor: colours.surface, borderColor: colours.line,
          textStyle: { color: colours.ink, fontFamily, fontSize: 13 }, axisPointer: { lineStyle: { color: colours.muted } },
          formatter: (found) => this.reading(found[0]?.dataIndex),
        },
        series: [
          { id: "highest", type: "line", data: points(data.highest), symbol: "none", lineStyle: { width: 1, opacity: 0.55, color: paint },
            areaStyle: level ? undefined : { opacity: 0.12, color: paint }, silent: true },
          { id: "mean", type: "line", data: points(data.mean), symbol: "none", lineStyle: { width: 2, color: paint }, silent: true, color: colours.trace,
            markLine: {
              symbol: "none", silent: true, animation: false, label: { show: false },
              data: [
                ...(over ? [{ yAxis: data.limit, lineStyle: { color: colours.warn, type: "dashed", width: 1.5 },
                  label: { show: true, formatter: "limit", position: "insideEndTop", color: colours.warn, fontSize: 12 } }] : []),
                ...data.models.map((one) => ({ xAxis: one.time, lineStyle: { color: colours.info, type: [3, 3] },
                  label: { show: true, formatter: one.label, position: "end", distance: -14, align: "left", padding: [0, 0, 0, 5], color: colours.info, fontSize: 12 } })),
              ],
            },
            markArea: { silent: true, itemStyle: { color: colours.lost, opacity: 0.1 },
              data: data.strip.filter((one) => one[2] === "not_heard").map(([from, to]) => [{ xAxis: from }, { xAxis: to }]) } },
          ...(data.before ? [{ id: "before", type: "line", data: points(data.before), symbol: "none", silent: true, z: 1,
            lineStyle: { width: 1.5, type: "dashed", color: colours.muted }, itemStyle: { color: colours.muted } }] : []),
          { id: "events", type: "scatter", symbol: "triangle", symbolRotate: 180, symbolSize: narrow ? 14 : 12, cursor: "pointer",
            symbolOffset: [0, -8], itemStyle: { color: colours.alert }, tooltip: { trigger: "item", formatter: (one) => one.data.text },
            data: data.events.map((one) => ({ value: [Math.max(one.time, data.since), top ?? Math.max(...values)], event: one.id, text: one.text })) },
          { id: "states", type: "custom", xAxisIndex: 1, yAxisIndex: 1, silent: true, data: data.strip, encode: { x: [0, 1], y: -1 }, tooltip: { show: false },
            renderItem: (_, api) => {
              const name = data.strip[_.dataIndex][2], [from, low] = api.coord([data.strip[_.dataIndex][0], 0]);
              const [to, high] = api.coord([data.strip[_.dataIndex][1], heights[name]]);
              return { type: "rect", shape: { x: from, y: high, width: Math.max(to - from, 1), height: low - high }, style: { fill: state[name] } };
            } },
        ],
      };
    },
    clock(time) { // local time of the monitor
      let offset = 0;
      for (const [from, seconds] of this.data.offsets) if (time >= from) offset = seconds;
      const text = new Date((time + offset) * 1000).toUTCString(); // Thu, 27 Nov 2025 14:00:05 GMT
      return `${text.slice(0, 11)} ${text.slice(17, 22)}`;
    },
    reading(i) {
      if (i === undefined || !this.data) return "";
      const data = this.data, percent = data.quantity === "share", unit = data.quantity === "level" ? " dB" : "";
      const state = data.strip.find(([from, to]) => data.time[i] >= from && data.time[i] < to);
      const lines = [`<b>${this.clock(data.time[i])}</b>`];
      if (data.mean[i] === null) lines.push(state && state[2] === "not_heard" ? "not heard" : "no values");
      else {
        lines.push(`mean ${figure(data.mean[i], percent)}${unit}`);
        if (data.quantity !== "level") lines.push(`highest ${figure(data.highest[i], percent)}`);
      }
      if (data.before) lines.push(`${data.before_name} ${figure(data.before[i], percent)}${unit}`);
      if (state && data.mean[i] !== null) lines.push(data.words[state[2]]);
      return lines.join("<br>");
    },
    key(event) { // arrows move through the values
      const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12 };
      if (!(event.key in moves) || !this.data) return;
      event.preventDefault();
      event.stopPropagation();
      const last = this.data.time.length - 1;
      this.at = Math.min(Math.max((this.at ?? last + 1) + moves[event.key], 0), last);
      this.chart.dispatchAction({ type: "showTip", seriesIndex: 1, dataIndex: this.at });
      this.$el.setAttribute("aria-label", this.reading(this.at).replace(/<[^>]+>/g, " "));
    },
    hide() {
      this.at = undefined;
      this.chart.dispatchAction({ type: "hideTip" });
      this.$el.setAttribute("aria-label", this.label);
    },
  },
};
