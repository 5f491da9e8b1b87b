// The map: places, links and hexagons from the API, drawn by MapLibre. Everything shown is also in the pages' tables.
// What is shown, when and where stands in the address.

const holder = document.getElementById("map");
const data = holder.dataset;
const form = document.getElementById("map-choices");
const details = document.getElementById("map-details");
const status = document.getElementById("map-status");
const HOUR_MS = 3_600_000;

const view = () => new URLSearchParams(location.search);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const empty = { type: "FeatureCollection", features: [] };

/** Lines of the outlines: a point, then steps, in parts of a degree. */
function lines(outlines, name) {
  const coordinates = outlines[name].map((steps) => {
    const line = [];
    let [x, y] = [0, 0];
    for (let i = 0; i < steps.length; i += 2) {
      x += steps[i];
      y += steps[i + 1];
      line.push([x / outlines.units_per_degree, y / outlines.units_per_degree]);
    }
    return line;
  });
  return { type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates } };
}

/** How far a place may be off, as a circle on the ground. */
function circle(feature) {
  const [lon, lat] = feature.geometry.coordinates;
  const radius = feature.properties.error_m / 111_195;
  const ring = [];
  for (let i = 0; i <= 32; i++) {
    const angle = (i / 32) * 2 * Math.PI;
    ring.push([lon + (radius * Math.cos(angle)) / Math.cos((lat * Math.PI) / 180), lat + radius * Math.sin(angle)]);
  }
  return { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } };
}

/** Colours of hexagons, the same as on the coverage page. */
function hexagonColour() {
  const grades = ["--grade1", "--grade2", "--grade3", "--grade4"].map(colour);
  return view().get("by") === "gateways"
    ? ["step", ["get", "gateways"], grades[0], 2, grades[1], 3, grades[2], 4, grades[3]]
    : ["step", ["coalesce", ["get", "best_snr_db"], -99], grades[0], -10, grades[1], -2.5, grades[2], 5, grades[3]];
}

function style(outlines) {
  const source = (name) => ({ type: "geojson", data: { type: "FeatureCollection", features: [lines(outlines, name)] } });
  const [ink, line, accent, card] = ["--ink", "--line", "--accent", "--card"].map(colour);
  const bar = colour("--bar");
  const sources = {
    countries: source("countries"), states: source("states"), counties: source("counties"),
    hexagons: { type: "geojson", data: empty }, links: { type: "geojson", data: empty },
    circles: { type: "geojson", data: empty }, places: { type: "geojson", data: empty },
  };
  const layers = [{ id: "paper", type: "background", paint: { "background-color": colour("--paper") } }];
  if (data.tiles) {
    sources.tiles = { type: "raster", tiles: [data.tiles], tileSize: 256, maxzoom: 19 };
    layers.push({ id: "tiles", type: "raster", source: "tiles" });
  }
  layers.push(
    { id: "counties", type: "line", source: "counties", minzoom: 4, paint: { "line-color": line, "line-width": 1 } },
    { id: "states", type: "line", source: "states", paint: { "line-color": colour("--soft"), "line-opacity": 0.7, "line-width": 1.2 } },
    { id: "countries", type: "line", source: "countries", paint: { "line-color": colour("--soft"), "line-width": 1 } },
    { id: "hexagons", type: "fill", source: "hexagons", paint: { "fill-color": hexagonColour(), "fill-opacity": 0.5 } },
    { id: "single", type: "line", source: "hexagons", filter: ["!=", ["get", "single_gateway"], null], paint: { "line-color": ink, "line-width": 1, "line-dasharray": [3, 2] } },
    { id: "circles", type: "line", source: "circles", paint: { "line-color": bar, "line-opacity": 0.6, "line-width": 1 } },
    { id: "links", type: "line", source: "links", paint: { "line-color": bar, "line-opacity": 0.55, "line-width": ["interpolate", ["linear"], ["coalesce", ["get", "best_snr_db"], -15], -15, 0.7, 10, 3] } },
    { id: "nodes", type: "circle", source: "places", filter: ["!", ["get", "is_gateway"]], paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], 5, 3, 12, 7], "circle-color": card, "circle-stroke-color": accent, "circle-stroke-width": 2 } },
    { id: "gateways", type: "circle", source: "places", filter: ["get", "is_gateway"], paint: { "circle-radius": ["interpolate", ["linear"], ["zoom"], 5, 5, 12, 10], "circle-color": accent, "circle-stroke-color": card, "circle-stroke-width": 2 } },
  );
  return { version: 8, sources, layers };
}

/** Puts what the form says into the address, without a new entry in the browser's history. */
function remember(changes) {
  const now = view();
  for (const [name, value] of Object.entries(changes)) {
    if (value) now.set(name, value);
    else now.delete(name);
  }
  const query = now.toString();
  if (!data.public) history.replaceState(null, "", query ? `?${query}` : location.pathname);
  for (const link of document.querySelectorAll("a[data-follows]")) {
    const target = new URLSearchParams();
    for (const name of ["since", "until"]) target.set(name, data[name]);
    link.href = `${link.dataset.follows}?${target}`;
  }
}

let asked = 0;
async function load(map) {
  const turn = ++asked;
  const query = new URLSearchParams();
  for (const name of ["gateway", "node", "size"]) if (view().get(name)) query.set(name, view().get(name));
  query.set("since", data.since);
  query.set("until", data.until);
  status.textContent = "Loading…";
  try {
    const [places, links, hexagons] = await Promise.all(
      ["places", "links", "coverage"].map(async (what) => {
        const answer = await fetch(`/api/v1/${what}?${query}`, { credentials: data.public ? "omit" : "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.json();
      }),
    );
    if (turn !== asked) return null;
    map.getSource("places").setData(places);
    map.getSource("links").setData(links);
    map.getSource("hexagons").setData(hexagons);
    map.getSource("circles").setData({ ...empty, features: places.features.filter((f) => f.properties.error_m > 0).map(circle) });
    const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
    const cut = places.is_cut_short ? ` Too much for one view: it begins ${new Date(places.since_ms).toISOString().slice(0, 16).replace("T", " ")} UTC.` : "";
    status.textContent = `${count(places.features.length, "place")}, ${count(links.features.length, "link")}, ${count(hexagons.features.length, "hexagon")}.${cut}`;
    return places;
  } catch {
    status.textContent = "The map's data did not arrive. Reload the page to try again.";
    return null;
  }
}

function fit(map, places) {
  if (!places || places.features.length === 0) return;
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const { geometry: { coordinates: [lon, lat] } } of places.features) {
    [west, east] = [Math.min(west, lon), Math.max(east, lon)];
    [south, north] = [Math.min(south, lat), Math.max(north, lat)];
  }
  map.fitBounds([[west, south], [east, north]], { padding: 40, maxZoom: 13, animate: false });
}

function show(map) {
  const hidden = (view().get("hide") ?? "").split(",");
  const set = (layer, is) => map.setLayoutProperty(layer, "visibility", is ? "visible" : "none");
  for (const layer of ["hexagons", "links", "circles", "nodes"]) set(layer, !hidden.includes(layer));
  set("single", !hidden.includes("hexagons"));
  map.setPaintProperty("hexagons", "fill-color", hexagonColour());
}

/** What was clicked, in words, with links to its pages. */
function tell(feature) {
  const p = feature.properties;
  const text = (tag, words) => Object.assign(document.createElement(tag), { textContent: words });
  const link = (address, words) => Object.assign(text("a", words), { href: address });
  const db = (value) => (value === undefined || value === null || value === "null" ? "not measured" : `${Number(value).toFixed(1)} dB`);
  const parts = [];
  if (feature.layer.id === "links") {
    parts.push(link(`/node/${p.from}`, p.from), " heard by ", link(`/node/${p.to}`, p.to));
    parts.push(`: best ${db(p.best_snr_db)}, ${p.count} times, ${(p.distance_m / 1000).toFixed(1)} km, known by ${p.source}. `);
    parts.push(link(`/links?node=${encodeURIComponent(p.from)}`, "Its links"));
  } else if (feature.layer.id === "hexagons") {
    const query = view();
    parts.push(`Hexagon: best ${db(p.best_snr_db)}, ${p.gateways} gateway(s), ${p.nodes} node(s), ${p.receptions} receptions. `);
    query.delete("hide");
    parts.push(link(`/coverage?${query}`, "Coverage as a table"));
  } else {
    const name = p.name && p.name !== "null" ? p.name : p.id;
    parts.push(link(`/node/${p.id}`, name), p.is_gateway ? ", a gateway. " : ". ");
    if (p.error_m > 0) parts.push(`Its place is known to about ${(p.error_m / 1000).toFixed(1)} km. `);
    parts.push(link(`/links?node=${encodeURIComponent(p.id)}`, "Links"), " · ", link(`/coverage?node=${encodeURIComponent(p.id)}`, "Where it is heard from"));
    if (p.is_gateway) parts.push(" · ", link(`/coverage?gateway=${encodeURIComponent(p.id)}`, "Its coverage"));
    parts.push(" · ", link(`/log?q=${encodeURIComponent(`node:${p.id}`)}`, "Log"));
  }
  details.replaceChildren(...parts);
  details.hidden = false;
}

/**
 * The brush: a window of time on a scale around it, in minutes. It moves the map and the rows below it together, and the
 * scale moves along when the window comes to its end.
 */
function brush(moved) {
  const MINUTE_MS = 60_000;
  const [from, to] = [form.elements.from, form.elements.to];
  const words = document.getElementById("map-span");
  const now = () => Math.ceil(Date.now() / MINUTE_MS) * MINUTE_MS;
  let [since, until] = [Date.parse(data.since), Date.parse(data.until)];
  let scale = 0;

  const place = () => {
    const width = until - since;
    const length = Math.min(Math.max(7 * width, 6 * HOUR_MS), 31 * 24 * HOUR_MS);
    const end = Math.min(now(), until + 2 * width);
    scale = end - length;
    const step = Math.max(1, Math.round(length / MINUTE_MS / 336));
    for (const slider of [from, to]) Object.assign(slider, { min: 0, max: length / MINUTE_MS, step });
    from.value = (since - scale) / MINUTE_MS;
    to.value = (until - scale) / MINUTE_MS;
    say();
  };
  const say = () => {
    const written = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
    words.textContent = `${written(since)} to ${written(until)}`;
    from.setAttribute("aria-valuetext", written(since));
    to.setAttribute("aria-valuetext", written(until));
  };
  const read = () => {
    if (Number(from.value) >= Number(to.value)) from.value = Number(to.value) - Number(to.step);
    since = scale + Number(from.value) * MINUTE_MS;
    until = scale + Number(to.value) * MINUTE_MS;
    say();
  };
  const tell = () => {
    const iso = (ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    data.since = iso(since);
    data.until = iso(until);
    remember({ q: "", since: data.since, until: until >= now() - MINUTE_MS ? "" : data.until });
    moved();
  };
  /** By so many window lengths; says whether there was room. */
  const shift = (by) => {
    const width = until - since;
    const end = Math.min(until + by * width, now());
    const hasMoved = end !== until;
    [since, until] = [end - width, end];
    place();
    tell();
    return hasMoved;
  };
  for (const slider of [from, to]) {
    slider.addEventListener("input", read);
    slider.addEventListener("change", tell);
  }
  document.getElementById("map-earlier").addEventListener("click", () => shift(-0.5));
  document.getElementById("map-later").addEventListener("click", () => shift(0.5));
  const play = document.getElementById("map-play");
  let playing = null;
  const stop = () => {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  play.addEventListener("click", () => {
    if (playing) return stop();
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    playing = setInterval(() => { if (!shift(0.25)) stop(); }, 1_500);
  });
  place();
}

/** The log's own rows of the same time. */
let rowsAsked = 0;
async function rows() {
  const turn = ++rowsAsked;
  const section = document.getElementById("map-log");
  if (!section) return;
  try {
    const answer = await fetch(`/log?${new URLSearchParams({ since: data.since, until: data.until })}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (turn !== rowsAsked) return;
    const table = page.querySelector("main .log:not([hidden]) table");
    const none = Object.assign(document.createElement("p"), { className: "soft", textContent: "Nothing that can be shown." });
    const holder = Object.assign(document.createElement("div"), { className: "scroll stack log" });
    if (table) holder.append(table);
    document.getElementById("map-rows").replaceChildren(table ? holder : none);
    section.hidden = false;
  } catch {
    section.hidden = true;
  }
}

async function start() {
  let maplibre, outlines;
  try {
    [maplibre, outlines] = await Promise.all([import(data.library), fetch(data.outlines).then((answer) => answer.json())]);
    maplibre.setWorkerUrl(new URL(data.worker, location.href).href);
  } catch {
    status.textContent = "The map could not be loaded. The other tabs show the same as tables.";
    return;
  }
  const [zoom, lat, lon] = (view().get("at") ?? "").split("/").map(Number);
  const placed = [zoom, lat, lon].every(Number.isFinite) && view().has("at");
  let map;
  try {
    map = new maplibre.Map({
      container: holder, style: style(outlines), attributionControl: false, maxZoom: 16, dragRotate: false, pitchWithRotate: false,
      center: placed ? [lon, lat] : [-94.5, 39.1], zoom: placed ? zoom : 6,
    });
  } catch {
    status.textContent = "This browser cannot draw the map (it has no WebGL). The other tabs show the same as tables.";
    return;
  }
  map.touchZoomRotate.disableRotation();
  form.hidden = false;
  document.getElementById("map-zoom").hidden = false;
  const hidden = (view().get("hide") ?? "").split(",");
  for (const box of form.querySelectorAll("[name=show]")) box.checked = !hidden.includes(box.value);
  form.elements.by.value = view().get("by") ?? "";
  brush(() => { load(map); rows(); });
  form.addEventListener("input", (event) => {
    if (event.target.type === "range") return;
    const hide = [...form.querySelectorAll("[name=show]:not(:checked)")].map((box) => box.value).join(",");
    remember({ hide, by: form.elements.by.value });
    show(map);
  });
  for (const button of holder.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => map.zoomTo(map.getZoom() + Number(button.dataset.zoom)));
  }
  map.on("load", async () => {
    show(map);
    rows();
    const places = await load(map);
    if (!placed) fit(map, places);
    holder.dataset.ready = "yes";
    map.on("moveend", () => {
      const { lng, lat: north } = map.getCenter();
      remember({ at: `${map.getZoom().toFixed(2)}/${north.toFixed(4)}/${lng.toFixed(4)}` });
    });
  });
  map.on("click", (event) => {
    const { x, y } = event.point;
    const near = [[x - 8, y - 8], [x + 8, y + 8]];
    for (const layer of ["gateways", "nodes", "links", "hexagons"]) {
      const [found] = map.queryRenderedFeatures(near, { layers: [layer] });
      if (found) return tell(found);
    }
    details.hidden = true;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    map.setStyle(style(outlines), { diff: false });
    map.once("styledata", () => { show(map); load(map); });
  });
}

remember({});
start();
