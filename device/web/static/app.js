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
    for (const note of live.querySelectorAll("[data-measuring]")) note.hidden = note.dataset.measuring !== values.measuring;
    live.querySelector(".measured").hidden = !values.live;
    if (values.live) measure(values.live);
  };
  const draw = (bar, value, limit) => {
    bar.querySelector(".value").setAttribute("width", value);
    bar.querySelector(".limit").setAttribute("x", Math.min(limit, 99.2));
  };
  const measure = (now) => { // no live region: a screen reader reads it on demand, not twice a second
    const level = (value) => (typeof value === "number" ? `${number(value, 0)} ${now.unit}` : "–");
    draw(live.querySelector(".measured svg"), now.level_place, now.floor_place);
    put(".level-now", level(now.level));
    put(".floor-now", level(now.floor));
    put(".gate-now", now.gate);
    const classified = live.querySelector(".classified");
    put(".classified", now.classified ? `${now.classified}${now.unknown ? `: ${classified.dataset.unknown}` : ""}` : classified.dataset.nothing);
    live.querySelectorAll(".nearest li").forEach((row, place) => {
      const near = now.nearest[place];
      row.hidden = !near;
      if (!near) return;
      const [share, threshold] = [100 * near.confidence, 100 * near.threshold];
      draw(row, share, threshold);
      row.querySelector(".value").classList.toggle("reached", share >= threshold);
      row.querySelector(".name-of").textContent = near.label;
      row.querySelector(".number").textContent = live.dataset.of.replace("{share}", number(share, 0)).replace("{threshold}", number(threshold, 0));
    });
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
