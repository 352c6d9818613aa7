"use strict";
// Live values and sliders. The page works without this script, except for these two.
(() => {
  const root = document.body.dataset.root;
  const language = document.documentElement.lang;
  const number = (value, digits) => value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

  for (const form of document.querySelectorAll("form.threshold")) {
    const passing = JSON.parse(form.dataset.passing);
    const slider = form.querySelector("input[type=range]");
    slider.addEventListener("input", () => {
      form.querySelector("output").textContent = number(Number(slider.value), 2);
      form.querySelector(".passing").textContent = passing[Math.round(100 * slider.value)];
    });
  }

  const live = document.getElementById("live");
  if (!live) return;
  const put = (place, text) => {
    const element = live.querySelector(place);
    if (element.textContent !== text) element.textContent = text; // a screen reader reads changes only
  };
  const show = (values) => {
    live.hidden = false;
    let state = live.dataset.quiet;
    if (!values.online) state = live.dataset.offline;
    else if (!values.listening) state = live.dataset.off;
    else if (values.sounding.length) state = `${live.dataset.sounding}: ${values.sounding.join(", ")}`;
    put(".state", state);
    const last = values.last;
    if (last.label) {
      put(".last", `${last.label}, ${new Date(last.start_time).toLocaleTimeString(language)}`);
      put(".gate", String(last.gate));
      if (typeof last.level_dbfs === "number") put(".level", `${number(last.level_dbfs, 0)} dBFS`);
    }
    const near = values.near.filter((miss) => typeof miss.confidence === "number");
    if (near.length) put(".near", near.map((miss) => `${miss.label} ${number(100 * miss.confidence, 0)} %`).join(", "));
    if (values.unknown) put(".unknown", values.unknown);
  };
  let source = null;
  const watch = () => { // only while someone looks
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(`${root}live`);
      source.onmessage = (message) => show(JSON.parse(message.data));
    }
  };
  document.addEventListener("visibilitychange", watch);
  watch();
})();
